package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"holdfast/pkg/grip"
)

func TestPushpinRouteNamesTheRoute(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q", r.URL, r.Header["Pushpin-Route"])
	}
	lines := []string{"id=only,path_beg=/a,replace_beg=/only BACKEND", "*,id=named,path_beg=/b,replace_beg=/named BACKEND"}
	ask := func(s *Server, path, id string) string {
		got := roundTrip(t, s, "GET "+path+closing+"Pushpin-Route: "+id+"\r\n\r\n")
		return got[strings.LastIndex(got, "\r\n\r\n")+4:]
	}
	accepting, _ := behind(t, backend, func(o *Options) { o.Backends.AcceptRoute = true }, lines...)
	for _, test := range [][3]string{
		{"/a/x", "only", `/only/x []`},
		{"/b", "only", "Route not found\n"},
		{"/b/x", "named", `/named/x []`},
		{"/b/x", "none", "Route not found\n"},
	} {
		if got := ask(accepting, test[0], test[1]); got != test[2] {
			t.Errorf("%s by %s: %q, want %q", test[0], test[1], got, test[2])
		}
	}
	s, _ := behind(t, backend, nil, lines...)
	if got := ask(s, "/a/x", "only"); got != `/a/x ["only"]` {
		t.Errorf("when it is not accepted: %q", got)
	}
}

func TestAcceptedForwardedProtoChoosesTheRoute(t *testing.T) {
	backend := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q", r.URL, r.Header["X-Forwarded-Proto"])
	}
	for _, accept := range []bool{false, true} {
		s, _ := behind(t, backend, func(o *Options) { o.Backends.Proto = grip.ParseForwardedProto("proto-only", accept) },
			"*,ssl=yes,path_beg=/,replace_beg=/secure/ BACKEND")
		for field, want := range map[string]string{
			"":                              `/x []`,
			"X-Forwarded-Proto: https\r\n":  map[bool]string{true: `/secure/x ["https"]`, false: `/x []`}[accept],
			"X-Forwarded-Protocol: wss\r\n": map[bool]string{true: `/secure/x ["https"]`, false: `/x []`}[accept],
			"X-Forwarded-Proto: http\r\n":   `/x []`,
		} {
			if got := roundTrip(t, s, "GET /x"+closing+field+"\r\n"); !strings.HasSuffix(got, want) {
				t.Errorf("accept = %t, %q: %q, want %s", accept, field, got, want)
			}
		}
	}
}
