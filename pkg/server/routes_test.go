package server

import (
	"fmt"
	"holdfast/pkg/stats"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the statistics say of backends: totals, the figures of each route, and reloads that failed.
func TestFiguresOfRoutes(t *testing.T) {
	reload := make(chan struct{}, 1)
	var file string
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.Header().Set("Grip-Hold", "maybe")
		}
	}, func(o *Options) { file, o.Reload = o.Routes, reload }, "a.test,id=a BACKEND", "b.test,id=b BACKEND")
	for _, request := range []string{"GET /", "GET /bad"} {
		roundTrip(t, s, request+" HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	}
	eventually(t, "both are over", func() bool { return s.Snapshot().Backends.InFlight == 0 })
	snap, err := ctl.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := snap.Backends
	if b == nil || b.Requests != 2 || len(b.Errors) != 1 || b.Errors["instruct"] != 1 || b.InFlight != 0 || b.Waiting != 0 || b.ReloadFailures != 0 {
		t.Fatalf("Backends over the wire = %+v", b)
	}
	routes := func() []stats.RouteInfo {
		all, err := ctl.Routes(t.Context())
		if err != nil || len(all) != 3 {
			t.Fatalf("Routes = %+v, %v", all, err)
		}
		return all
	}
	if r := routes()[0]; r.ID != "a" || r.Match != "a.test" || len(r.Targets) != 1 || r.Requests != 2 || r.Holds != 0 || r.Errors["instruct"] != 1 || r.Latency.Count != 2 || r.Latency.P50 == 0 {
		t.Errorf("figures of a = %+v", r)
	}
	if r := routes()[1]; r.ID != "b" || r.Requests != 0 || r.Latency.Count != 0 {
		t.Errorf("figures of b = %+v", r)
	}

	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		reload <- struct{}{}
	}
	write("no target\n")
	eventually(t, "a failure of the reload is counted", func() bool { return s.Snapshot().Backends.ReloadFailures == 1 })
	write(strings.Replace(string(good), "a.test,id=a", "c.test,id=c", 1))
	eventually(t, "the figures of a route that is gone are dropped", func() bool { return routes()[0].Match == "c.test" && routes()[0].Requests == 0 })
	if n := s.Snapshot().Backends.Requests; n != 2 {
		t.Errorf("%d requests in all, want 2: totals stay", n)
	}
}

func TestNoFiguresWithoutRoutes(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	if all, err := ctl.Routes(t.Context()); s.Snapshot().Backends != nil || len(all) > 0 || err != nil {
		t.Errorf("Backends = %v, Routes = %v, %v", s.Snapshot().Backends, all, err)
	}
}

// Keys and files that routes name are read with the table.
func TestBadKeysOfRoutesKeepTheOldTable(t *testing.T) {
	reload := make(chan struct{}, 1)
	var file string
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "signed: %t", r.Header.Get("Grip-Sig") != "")
	},
		func(o *Options) { file, o.Reload = o.Routes, reload }, "a.test,sig_key=a-secret BACKEND")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "garbled"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, bad := range []string{"sig_key=file:missing.pem", "sig_key=file:garbled"} {
		if err := os.WriteFile(file, []byte(strings.Replace(string(good), "sig_key=a-secret", bad, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		reload <- struct{}{}
		eventually(t, bad+" is refused", func() bool { return s.Snapshot().Backends.ReloadFailures == uint64(i+1) })
		if got := roundTrip(t, s, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "signed: true") {
			t.Errorf("with %s: %q, want an answer by the old table", bad, got)
		}
	}
	o := NewOptions()
	o.Routes, o.Socket = file, filepath.Join(t.TempDir(), "s")
	if _, err := Start(o); err == nil || !strings.HasPrefix(err.Error(), file+":1:8: sig_key: ") {
		t.Errorf("Start = %v, want the place of the bad key", err)
	}
}
