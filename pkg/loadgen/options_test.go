package loadgen

import (
	"math"
	"net/netip"
	"strings"
	"testing"
)

func TestTargetsAreLoopback(t *testing.T) {
	for s, want := range map[string]string{
		"http://127.0.0.1:7999":  "127.0.0.1:7999",
		"http://127.3.2.1:80/":   "127.3.2.1:80",
		"http://localhost:8000":  "127.0.0.1:8000",
		"http://10.0.0.1:7999":   "",
		"http://0.0.0.0:7999":    "",
		"http://[::1]:7999":      "",
		"http://example.org:80":  "",
		"https://127.0.0.1:7999": "",
		"127.0.0.1:7999":         "",
		"http://127.0.0.1":       "",
		"http://127.0.0.1:0":     "",
		"http://127.0.0.1:99999": "",
		"http://127.0.0.1:1/x":   "",
		"http://127.0.0.1:1?a=b": "",
		"http://u@127.0.0.1:1":   "",
		"":                       "",
	} {
		got, err := ParseTarget(s)
		if want == "" && err == nil {
			t.Errorf("ParseTarget(%q) = %v, want an error", s, got)
		}
		if want != "" && (err != nil || got.String() != want) {
			t.Errorf("ParseTarget(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := func() Options {
		o := NewOptions()
		o.Targets = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7999")}
		return o
	}
	if o := good(); o.Check() != nil {
		t.Errorf("Check of the defaults: %v", o.Check())
	}
	for _, tt := range []struct {
		option string
		change func(*Options)
	}{
		{"target", func(o *Options) { o.Targets = nil }},
		{"target", func(o *Options) { o.Targets[0] = netip.MustParseAddrPort("192.168.1.1:7999") }},
		{"connections", func(o *Options) { o.Connections = 0 }},
		{"connections", func(o *Options) { o.Connections = maxConnections + 1 }},
		{"transport", func(o *Options) { o.Transport = "ws" }},
		{"channels", func(o *Options) { o.Channels = 0 }},
		{"channels", func(o *Options) { o.Connections, o.Channels = 5, 6 }},
		{"connect-rate", func(o *Options) { o.ConnectRate = -1 }},
		{"connect-rate", func(o *Options) { o.ConnectRate = math.NaN() }},
		{"messages", func(o *Options) { o.Messages = -1 }},
		{"messages", func(o *Options) { o.Messages = maxMessages + 1 }},
		{"rate", func(o *Options) { o.Rate = math.Inf(1) }},
		{"size", func(o *Options) { o.Size = markerLen - 1 }},
		{"size", func(o *Options) { o.Size, o.Transport = markerLen, Stream }},
		{"max-time", func(o *Options) { o.Limit = 0 }},
	} {
		o := good()
		tt.change(&o)
		if err := o.Check(); err == nil || !strings.HasPrefix(err.Error(), tt.option+": ") {
			t.Errorf("Check = %v, want an error about %s", err, tt.option)
		}
	}
}

func TestPlanSpreadsOverWorkers(t *testing.T) {
	for _, tt := range []struct{ connections, files, workers int }{
		{1, 20000, 1},
		{19800, 20000, 1},
		{19801, 20000, 2},
		{60000, 20000, 4},
		{824, 1024, 1},
		{825, 1024, 2},
		{1_000_000, 1 << 30, 20}, // maxPerWorker
		{5, spareFiles + 1, 5},
	} {
		shares, err := plan(tt.connections, tt.files)
		if err != nil || len(shares) != tt.workers {
			t.Errorf("plan(%d, %d) = %d workers, %v, want %d", tt.connections, tt.files, len(shares), err, tt.workers)
			continue
		}
		next, least, most := 0, math.MaxInt, 0
		for _, s := range shares {
			if s.First != next {
				t.Errorf("plan(%d, %d): a share begins at %d, want %d", tt.connections, tt.files, s.First, next)
			}
			next += s.Count
			least, most = min(least, s.Count), max(most, s.Count)
		}
		if next != tt.connections || most-least > 1 || most > tt.files-spareFiles {
			t.Errorf("plan(%d, %d): %d connections, %d to %d each", tt.connections, tt.files, next, least, most)
		}
	}
	if _, err := plan(1, spareFiles); err == nil {
		t.Error("plan without room for a connection: no error")
	}
}

func TestSourcesAreManyAndLoopback(t *testing.T) {
	used := map[netip.Addr]int{}
	for i := range 1_000_000 {
		used[source(i)]++
	}
	for a, n := range used {
		if !a.IsLoopback() || n > perGroup/sourcesPerGroup {
			t.Fatalf("%v is the source of %d connections, want at most %d of a loopback address", a, n, perGroup/sourcesPerGroup)
		}
	}
	if a := source(maxConnections - 1); !a.IsLoopback() {
		t.Errorf("the last source is %v", a)
	}
	if source(0) == netip.MustParseAddr("127.0.0.1") {
		t.Error("the first source is the address of pushd itself")
	}
}

func TestDeliveriesInTurns(t *testing.T) {
	perChannel := []uint32{3, 0, 5}
	for n, want := range []int{0, 3, 3, 8, 11, 11, 16} {
		if got := deliveries(perChannel, n); got != want {
			t.Errorf("deliveries of %d messages = %d, want %d", n, got, want)
		}
	}
}
