package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"holdfast/pkg/token"
)

// spy notes what is asked of the part within it.
type spy struct {
	part
	said *[]string
	err  error // of start and quiesce, in place of the part's own
}

func (s *spy) say(what string) { *s.said = append(*s.said, what+" "+s.name()) }

func (s *spy) start() error {
	s.say("start")
	if s.err != nil {
		return s.err
	}
	return s.part.start()
}

func (s *spy) quiesce() error {
	s.say("quiesce")
	if s.err != nil {
		return s.err
	}
	return s.part.quiesce()
}

func (s *spy) detach(to *sockets) error {
	s.say("detach")
	return s.part.detach(to)
}

func (s *spy) stop() {
	s.say("stop")
	s.part.stop()
}

// spyOn has all parts of p noted, and returns the notes.
func spyOn(p *parts) *[]string {
	said := new([]string)
	for i, x := range p.all {
		p.all[i] = &spy{part: x, said: said}
	}
	return said
}

// Whichever part fails in its start: those before it stop in the reverse order, and its error is
// the reason.
func TestPartThatFailsInItsStart(t *testing.T) {
	for _, tt := range []struct {
		failing int // -1: none
		said    string
	}{
		{0, "start a"},
		{1, "start a, start b, stop a"},
		{2, "start a, start b, start c, stop b, stop a"},
		{-1, "start a, start b, start c"},
	} {
		p := parts{all: []part{passive("a"), passive("b"), passive("c")}}
		said := spyOn(&p)
		reason := errors.New("the reason")
		if tt.failing >= 0 {
			p.all[tt.failing].(*spy).err = reason
		} else {
			reason = nil
		}
		if err := p.start(); err != reason {
			t.Errorf("part %d fails: start = %v, want %v", tt.failing, err, reason)
		}
		if got := strings.Join(*said, ", "); got != tt.said {
			t.Errorf("part %d fails: %s, want %s", tt.failing, got, tt.said)
		}
	}
}

// A part that cannot quiesce ends the hand-over, with its name in the error.
func TestPartThatCannotQuiesce(t *testing.T) {
	p := parts{all: []part{passive("a"), passive("b"), passive("c")}}
	said := spyOn(&p)
	p.all[1].(*spy).err = errors.New("the reason")
	err := p.quiesce()
	if err == nil || err.Error() != "quiesce b: the reason" {
		t.Errorf("quiesce = %v", err)
	}
	if got := strings.Join(*said, ", "); got != "quiesce c, quiesce b" {
		t.Errorf("said %s", got)
	}
}

// A part of a group stops while another one does.
func TestPartsOfAGroupStopTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		met := make(chan struct{})
		meet := func(ctx context.Context) error {
			<-ctx.Done()
			select {
			case met <- struct{}{}:
			case <-met:
			}
			return nil
		}
		s := newServer(NewOptions())
		g := &together{"group", parts{all: []part{s.task("a", meet), s.task("b", meet)}}}
		if err := g.start(); err != nil {
			t.Fatal(err)
		}
		g.stop() // one after the other would wait for ever
	})
}

// partsOf returns pushd's parts, of which none is left out, and their names.
func partsOf(t *testing.T) (s *Server, names []string) {
	t.Helper()
	o := NewOptions()
	dir := t.TempDir()
	o.Loops, o.Listen = 2, []string{"127.0.0.1:0"}
	o.PublishListen, o.MetricsListen = "127.0.0.1:0", "127.0.0.1:0"
	o.Socket, o.Routes = filepath.Join(dir, "s"), filepath.Join(dir, "routes")
	o.Statsd = "127.0.0.1:9" // nobody listens
	var err error
	if o.TokenKey, err = token.ParseKey("0123456789abcdef0123456789abcdef", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.Routes, []byte("* test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = newServer(o)
	for _, p := range s.parts.all {
		names = append(names, p.name())
	}
	return s, names
}

// The order of a real pushd. Each line is a promise that somebody relies on.
func TestOrderOfParts(t *testing.T) {
	s, names := partsOf(t)
	for _, tt := range []struct{ first, then, why string }{
		{"control socket", "routes", "a second pushd for the socket does nothing else"},
		{"routes", "loops", "loops serve by the routes"},
		{"loops", "backends", "what backends answer goes to loops"},
		{"backends", "inputs", "a request that waits for a backend may be answered by an item"},
		{"loops", "inputs", "what is published goes to loops until the last input has stopped"},
		{"housekeeping", "inputs", "inputs answer /health"},
		{"inputs", "listeners", "who sees a client listener can publish"},
		{"listeners", "statsd", "a start that fails sends no figures"},
		{"statsd", "drain", "figures of the drain are sent"},
		{"inputs", "drain", "during the drain pushd can be watched and published to"},
	} {
		first, then := slices.Index(names, tt.first), slices.Index(names, tt.then)
		if first < 0 || then < 0 || first > then {
			t.Errorf("%s must come before %s: %s; the order is %q", tt.first, tt.then, tt.why, names)
		}
	}
	said := spyOn(&s.parts)
	if err := s.parts.start(); err != nil {
		t.Fatal(err)
	}
	if err := s.quiesce(); err != nil {
		t.Fatal(err)
	}
	k, err := s.detach()
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	s.Shutdown()
	var want []string
	for _, name := range names {
		want = append(want, "start "+name)
	}
	for _, step := range []string{"quiesce ", "detach ", "stop "} {
		for _, name := range slices.Backward(names) {
			want = append(want, step+name)
		}
	}
	if !slices.Equal(*said, want) {
		t.Errorf("a run is\n%q, want\n%q", *said, want)
	}
}

// Each part of a real pushd may fail in its start. Nothing is left then: no file is open, and the
// same addresses, socket and routes serve another start.
func TestStartThatFailsAtAnyPartLeavesNothing(t *testing.T) {
	_, names := partsOf(t)
	for i, name := range names {
		s, _ := partsOf(t)
		before := files(t)
		spyOn(&s.parts)
		s.parts.all[i].(*spy).err = fmt.Errorf("%s is broken", name)
		if err := s.parts.start(); err == nil || err.Error() != name+" is broken" {
			t.Errorf("%s fails: start = %v", name, err)
		}
		eventually(t, name+" fails, and all files are closed", func() bool { return files(t) <= before })
		if _, err := os.Lstat(s.opts.Socket); err == nil {
			t.Errorf("%s fails: the control socket is still there", name)
		}
	}
}

// Listeners of which one cannot be opened close those that are open.
func TestListenersThatCannotAllBeOpened(t *testing.T) {
	s, _ := partsOf(t)
	var err error
	if s.loops, err = newLoops(s.opts, nil, s.fail); err != nil {
		t.Fatal(err)
	}
	defer s.loops.stop()
	s.opts.Listen = []string{"127.0.0.1:0", "no port"}
	l := &listeners{s: s}
	if err := l.start(); err == nil || !strings.Contains(err.Error(), "no port") {
		t.Errorf("start = %v, want an error about the address", err)
	}
	if c, err := net.Dial("tcp", s.addr()); err == nil {
		c.Close()
		t.Errorf("%s is still open", s.addr())
	}
}
