// Package oracle holds no code, only a test of pushd against Debian's Pushpin: both serve by the same routes, have the same
// backend behind them, and are asked the same in the same bytes. What clients and backends then see has to be the same, but
// for the accepted differences.
package oracle

import (
	"net"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
)

// atOnce bounds the cases that run at the same time: some are about what happens within a second.
const atOnce = 32

func TestPushpinAndPushdAnswerAlike(t *testing.T) {
	if os.Getenv("HOLDFAST_ORACLE") == "" {
		t.Skip("Pushpin's framing depends on timing: make oracle runs this")
	}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := dead.Addr().String()
	dead.Close()
	pushpin := startPushpin(t, nobody)
	pushd := startPushd(t, nobody)
	for _, p := range []*proxy{pushpin, pushd} {
		p.warm(t, 2*atOnce)
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	sort.Strings(names)
	var list differenceList
	list.compile(t)
	played := playAll(t, pushpin, pushd)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			p := <-played[name]
			list.check(t, name, p.want, p.got)
		})
	}
	list.checkUsed(t, len(names))
}

// outcomes are those of one case at the two proxies.
type outcomes struct{ want, got []string }

// playAll starts all cases, and returns where their outcomes come. (Parallel tests are as many as there are CPUs: cases wait.)
func playAll(t *testing.T, pushpin, pushd *proxy) map[string]chan outcomes {
	played := make(map[string]chan outcomes)
	room := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for name, c := range byName {
		result := make(chan outcomes, 1)
		played[name] = result
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			var o outcomes
			var both sync.WaitGroup
			both.Go(func() { o.want = run(t, pushpin, c) })
			both.Go(func() { o.got = run(t, pushd, c) })
			both.Wait()
			result <- o
		})
	}
	t.Cleanup(all.Wait)
	return played
}

// run plays a case with one proxy.
func run(t *testing.T, p *proxy, c exchange) []string {
	client, err := p.dial(t, c.name)
	if err != nil {
		return []string{"no connection: " + err.Error()}
	}
	defer client.conn.Close()
	for _, s := range c.steps {
		s(client)
	}
	got, closed := client.end()
	seen := p.backend.requests(c.name)
	return outcome(c.methods, got, closed, seen)
}

// differenceList matches differences with the accepted ones.
type differenceList struct {
	all     []compiled
	used    []bool
	checked int // cases
}

type compiled struct{ cases, line *regexp.Regexp }

func (l *differenceList) compile(t *testing.T) {
	t.Helper()
	for _, a := range acceptedList {
		if a.why == "" {
			t.Fatalf("no reason for %+v", a)
		}
		l.all = append(l.all, compiled{regexp.MustCompile("^(?:" + a.cases + ")$"), regexp.MustCompile("^(?:" + a.line + ")$")})
	}
	l.used = make([]bool, len(l.all))
}

// check fails for a difference that is not accepted.
func (l *differenceList) check(t *testing.T, name string, want, got []string) {
	t.Helper()
	l.checked++
	var unlisted []string
	for _, d := range differences(want, got) {
		if !l.accepts(name, d) {
			unlisted = append(unlisted, d)
		}
	}
	if len(unlisted) > 0 {
		t.Errorf("Pushpin (-) and pushd (+) differ:\n%s\nPushpin's, whole:\n%s", strings.Join(unlisted, "\n"), strings.Join(want, "\n"))
	}
}

// accepts marks what it finds as used.
func (l *differenceList) accepts(name, line string) bool {
	found := false
	for i, a := range l.all {
		if a.cases.MatchString(name) && a.line.MatchString(line) {
			found, l.used[i] = true, true
		}
	}
	return found
}

// checkUsed fails for an accepted difference that there is not, unless -run has left out some of the n cases.
func (l *differenceList) checkUsed(t *testing.T, n int) {
	t.Helper()
	if l.checked < n {
		return
	}
	for i, used := range l.used {
		if !used && !slices.Contains(sometimes, acceptedList[i].why) {
			t.Errorf("no such difference: %+v", acceptedList[i])
		}
	}
}
