package control

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProbesAnswerOnlyTheirQuestions(t *testing.T) {
	draining, trouble := false, ""
	p := Probes{
		Draining: func() bool { return draining }, Trouble: func() string { return trouble },
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.Answer(w, r) {
			answer(w, http.StatusTeapot, "other")
		}
	})
	for _, tt := range []struct {
		draining     bool
		method, path string
		code         int
		body         string
	}{
		{false, "GET", "/health", 200, "ok\n"},
		{true, "GET", "/health", 200, "ok\n"},
		{false, "GET", "/ready", 200, "ready\n"},
		{true, "GET", "/ready", 503, "draining\n"},
		{false, "HEAD", "/ready", 200, ""},
		{false, "POST", "/health", 405, "Method not allowed: POST.\n"},
		{false, "GET", "/ready/", http.StatusTeapot, "other\n"},
	} {
		draining = tt.draining
		res := httptest.NewRecorder()
		r := httptest.NewRequest(tt.method, tt.path, nil)
		h(res, r)
		if tt.code != http.StatusTeapot != IsProbe(r) {
			t.Errorf("IsProbe(%s) = %v", tt.path, IsProbe(r))
		}
		body := res.Body.String()
		if res.Code != tt.code || tt.method != "HEAD" && body != tt.body {
			t.Errorf("%s %s, draining %v: %d %q, want %d %q",
				tt.method, tt.path, tt.draining, res.Code, body, tt.code, tt.body)
		}
		if tt.code == 405 && !strings.Contains(res.Header().Get("Allow"), "GET") {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, res.Header().Get("Allow"))
		}
	}
	draining, trouble = false, "something is wrong"
	for path, code := range map[string]int{
		"/health": http.StatusServiceUnavailable, "/ready": http.StatusServiceUnavailable,
		"/": http.StatusTeapot,
	} {
		res := httptest.NewRecorder()
		h(res, httptest.NewRequest("GET", path, nil))
		body := res.Body.String()
		if res.Code != code || (body == trouble+"\n") != (path != "/") {
			t.Errorf("GET %s with trouble: %d %q, want %d", path, res.Code, body, code)
		}
	}
}
