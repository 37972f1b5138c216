package server

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/pkg/publish"
)

// Who gets an item depends on the filters of the subscription by which it comes, whether all of a connection's subscriptions
// have the same, or its route adds some.
func TestGripFilters(t *testing.T) {
	s, ctl := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Hold", "stream")
		for _, ch := range strings.Split(r.URL.Query().Get("c"), "~") {
			w.Header().Add("Grip-Channel", strings.ReplaceAll(ch, "/", "; filter="))
		}
		w.Header().Set("Grip-Set-Meta", "user="+r.URL.Query().Get("user"))
		fmt.Fprint(w, "open\n")
	}, nil, "*,path_beg=/pre,prefix=p- BACKEND", "*,path_beg=/sub BACKEND,sub=extra")
	clients := map[string]*bufio.Reader{}
	for name, target := range map[string]string{
		"al": "/?c=room/skip-self~two/skip-self", "bo": "/?c=room/skip-users", "cy": "/?c=room/skip-self~two",
		"vip": "/?c=room/require-sub~vip/require-sub", "no": "/?c=room/require-sub", "pre": "/pre?c=room/require-sub~vip/require-sub",
		"sub": "/sub?c=room/skip-self",
	} {
		c := dialPoller(t, s.addr())
		c.ask("GET " + target + "&user=" + name + " HTTP/1.0\r\nHost: x\r\n\r\n")
		readUntil(t, c.r, "open\n")
		clients[name] = c.r
	}
	eventually(t, "they are held", func() bool { return s.Snapshot().Connections.Stream == len(clients) })
	for i, tt := range []struct{ channel, meta, want string }{
		{"room", "", "al bo cy vip no sub"},
		{"room", "sender=al", "bo cy vip no sub"},
		{"two", "sender=al", "cy"},
		{"two", "sender=cy", "al cy"}, // its subscription of two has no filter
		{"room", "skip_users=al, bo ,sub", "al cy vip no sub"},
		{"room", "require_sub=vip", "al bo cy vip sub"},
		{"p-room", "require_sub=vip", "pre"}, // named without the prefix
		{"p-room", "require_sub=other", ""},
		{"extra", "sender=sub", "sub"}, // the route's subscription has no filter
		{"room", "sender=sub", "al bo cy vip no"},
	} {
		it := streamItem(tt.channel, fmt.Sprint(i, "\n"))
		if key, value, ok := strings.Cut(tt.meta, "="); ok {
			it.Meta = map[string]string{key: value}
		}
		want := strings.Fields(tt.want)
		acks, err := ctl.Publish(t.Context(), []publish.Item{it})
		if err != nil || acks[0].Receivers != len(want) {
			t.Errorf("%v: receivers %v, %v", tt, acks, err)
		}
		for _, name := range want {
			if got := readUntil(t, clients[name], "\n"); got != fmt.Sprint(i, "\n") {
				t.Errorf("%v: %s got %q", tt, name, got)
			}
		}
	}
}
