package control

import "net/http"

// Probes answers those who ask how pushd is: GET /health says that it lives and is well, GET /ready
// whether it also takes new clients. They tell nothing else, and anybody may ask.
type Probes struct {
	Draining func() bool   // whether pushd is about to end; nil: never
	Trouble  func() string // what is wrong with pushd, or ""; nil: nothing
}

// IsProbe reports whether r asks how pushd is.
func IsProbe(r *http.Request) bool { return r.URL.Path == "/health" || r.URL.Path == "/ready" }

// Answer answers r if it is such a question, and reports whether it was.
func (p Probes) Answer(w http.ResponseWriter, r *http.Request) bool {
	trouble := ""
	if p.Trouble != nil && IsProbe(r) {
		trouble = p.Trouble()
	}
	switch {
	case !IsProbe(r):
		return false
	case trouble != "":
		answerProbe(w, r, http.StatusServiceUnavailable, trouble)
	case r.URL.Path == "/health":
		answerProbe(w, r, http.StatusOK, "ok")
	case p.Draining != nil && p.Draining():
		answerProbe(w, r, http.StatusServiceUnavailable, "draining")
	default:
		answerProbe(w, r, http.StatusOK, "ready")
	}
	return true
}

// answerProbe answers a GET or HEAD that asks how pushd is.
func answerProbe(w http.ResponseWriter, r *http.Request, code int, text string) {
	if !OnlyRead(w, r) {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer(w, code, text)
}

// OnlyRead reports whether r is a GET or HEAD. Other methods it answers itself.
func OnlyRead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	wrongMethod(w, r, http.MethodGet+", "+http.MethodHead)
	return false
}
