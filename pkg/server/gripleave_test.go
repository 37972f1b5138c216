package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/pkg/publish"
)

// Clients that leave while their backend thinks free its places, and those that wait for one are not sent to it.
func TestGripClientsThatLeaveFreeTheirPlaces(t *testing.T) {
	t.Parallel()
	var hung atomic.Int32
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			hung.Add(1)
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, "here")
	}, func(o *Options) { o.BackendConcurrency, o.BackendTimeout = 3, time.Minute })
	for range 10 {
		c, err := net.Dial("tcp", s.addr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "the request is there", func() bool { b := s.Snapshot().Backends; return b.Requests > 0 })
		c.Close()
	}
	eventually(t, "all ten have come", func() bool { return s.Snapshot().Backends.Requests == 10 })
	c := dialPoller(t, s.addr())
	c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, body := c.answer(); body != "here" {
		t.Errorf("answered %s %q", res.Status, body)
	}
	eventually(t, "all are counted, and none is left", func() bool {
		b := s.Snapshot().Backends
		return b.InFlight == 0 && b.Waiting == 0 && b.Gone == 10 && len(b.Errors) == 0
	})
	if n := hung.Load(); n > 6 {
		t.Errorf("%d requests of clients that had left were sent", n)
	}
}

// A client that shuts its side down when it has asked gets what is answered within a second.
func TestGripHalfClosedClient(t *testing.T) {
	t.Parallel()
	s, _ := behind(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(500 * time.Millisecond)
		fmt.Fprint(w, "late")
	}, nil)
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); !strings.HasSuffix(string(b), "late") {
		t.Errorf("%q, %v", b, err)
	}
}

// A held request goes on when its route has another ID than before, and ends as if nothing had come when it has none.
func TestGripHoldOutlivesItsRoute(t *testing.T) {
	reload := make(chan struct{}, 1)
	var file string
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/again" {
			fmt.Fprint(w, "asked again")
			return
		}
		responseHold(w, "a")
	}, func(o *Options) { file, o.Reload = o.Routes, reload })
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(text))
	for i, tt := range []struct{ line, want string }{
		{strings.Replace(line, "*", "*,id=main,path_beg=/,replace_beg=/again", 1), "asked again"},
		{"* test", "nothing"},
	} {
		if err := os.WriteFile(file, []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
		reload <- struct{}{}
		c := dialPoller(t, s.addr())
		eventually(t, "the first routes are back", func() bool {
			all, err := ctl.Routes(t.Context())
			return err == nil && all[0].ID == "*" && all[0].Targets[0] != "test"
		})
		c.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "it is held", func() bool { return s.Snapshot().Connections.Poll == 1 })
		if err := os.WriteFile(file, []byte(tt.line), 0o644); err != nil {
			t.Fatal(err)
		}
		reload <- struct{}{}
		eventually(t, "the new routes are read", func() bool {
			all, err := ctl.Routes(t.Context())
			return err == nil && (all[0].ID == "main") == (i == 0) && (all[0].Targets[0] == "test") == (i == 1)
		})
		if _, err := ctl.Publish(t.Context(), []publish.Item{responseItem("a", publish.Response{Action: publish.Hint})}); err != nil {
			t.Fatal(err)
		}
		if res, body := c.answer(); res.StatusCode != 200 || body != tt.want {
			t.Errorf("%s: answered %s %q, want %q", tt.line, res.Status, body, tt.want)
		}
		c.Close()
	}
}
