package route

import (
	"encoding/base64"
	"errors"
	"holdfast/pkg/http1"
	"strconv"
	"strings"

	"holdfast/pkg/publish"
)

// parameter is a name that a section may have. Its set gets a value that is there and not empty unless mayBeEmpty says
// otherwise; its error completes the sentence `prefix "x" ...`.
type parameter struct {
	name       string
	flag       bool // has no value
	repeated   bool
	mayBeEmpty bool
	unserved   bool    // Pushpin's, and not ours
	secret     bool    // the value is never shown
	kinds      kindSet // of the targets that have it
	set        func(r *Route, t *Target, value string) error
}

// kindSet has a bit for each Kind.
type kindSet uint8

const (
	backends kindSet = 1 << Backend
	tests    kindSet = 1 << Test
	directs  kindSet = 1 << Direct
)

func (s kindSet) has(k Kind) bool { return s>>k&1 != 0 }

// conditionParameters stand before the targets. Those whose kinds include directs have a meaning for direct too.
var conditionParameters = []parameter{
	{name: "proto", kinds: backends | tests | directs, set: func(r *Route, _ *Target, v string) (err error) {
		r.Protocol, err = choose(v, "http", HTTP, "ws", WebSocket)
		return err
	}},
	{name: "ssl", kinds: backends | tests | directs, set: func(r *Route, _ *Target, v string) (err error) {
		r.TLS, err = choose(v, "yes", WithTLS, "no", WithoutTLS)
		return err
	}},
	{name: "path_beg", kinds: backends | tests | directs, set: func(r *Route, _ *Target, v string) error {
		r.PathBeg = string(http1.AppendPlainPath(nil, []byte(v)))
		return checkPathBeg(v)
	}},
	{name: "id", kinds: backends | tests | directs, set: func(r *Route, _ *Target, v string) error {
		r.ID, r.Named = v, true
		return nil
	}},
	{name: "path_rem", kinds: backends, set: func(r *Route, _ *Target, v string) error {
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil {
			return errors.New("is no number of bytes up to 65535")
		}
		r.PathRem = int(n)
		return nil
	}},
	{name: "replace_beg", kinds: backends, mayBeEmpty: true, set: func(r *Route, _ *Target, v string) error {
		r.Replace, r.ReplaceBeg = true, v
		return checkPathBytes(v)
	}},
	{name: "as_host", kinds: backends, set: func(r *Route, _ *Target, v string) error {
		r.AsHost = v
		return checkAuthority(v)
	}},
	{name: "header", kinds: backends, repeated: true, set: func(r *Route, _ *Target, v string) error {
		h, err := parseHeader(v)
		r.Headers = append(r.Headers, h)
		return err
	}},
	{name: "sig_iss", kinds: backends, set: func(r *Route, _ *Target, v string) error {
		r.SigIss = v
		return nil
	}},
	{name: "sig_key", kinds: backends, secret: true, set: func(r *Route, _ *Target, v string) error {
		r.SigKey = v
		return checkKey(v)
	}},
	{name: "prefix", kinds: backends | tests, mayBeEmpty: true, set: func(r *Route, _ *Target, v string) error {
		r.Prefix = v
		if len(v) >= publish.MaxChannelBytes {
			return errors.New("leaves no room for a channel's name")
		}
		return nil
	}},
	{name: "no_grip", kinds: backends, flag: true, set: setFlag(func(r *Route, _ *Target) *bool { return &r.NoGRIP })},
	{name: "debug", kinds: backends | tests, flag: true, set: setFlag(func(r *Route, _ *Target) *bool { return &r.Debug })},
	{name: "aco", kinds: backends | tests, flag: true, set: setFlag(func(r *Route, _ *Target) *bool { return &r.AutoCORS })},
	{name: "log_level", kinds: backends | tests | directs, set: func(_ *Route, _ *Target, v string) error {
		if len(v) != 1 || v < "0" || v > "4" {
			return errors.New("is no number from 0 to 4")
		}
		return nil
	}},
	{name: "sockjs", unserved: true},
	{name: "sockjs_as_path", unserved: true},
	{name: "jsonp_mode", unserved: true},
	{name: "jsonp_cb", unserved: true},
	{name: "jsonp_body", unserved: true},
	{name: "jsonp_defcb", unserved: true},
	{name: "jsonp_defmethod", unserved: true},
	{name: "session", unserved: true},
	{name: "state", unserved: true},
	{name: "orig_headers", unserved: true},
	{name: "http-check", unserved: true},
	{name: "http-modify", unserved: true},
}

// targetParameters stand after a target.
var targetParameters = []parameter{
	{name: "ssl", kinds: backends, flag: true, set: setFlag(func(_ *Route, t *Target) *bool { return &t.TLS })},
	{name: "insecure", kinds: backends, flag: true, set: setFlag(func(_ *Route, t *Target) *bool { return &t.Insecure })},
	{name: "trust_connect_host", kinds: backends, flag: true,
		set: setFlag(func(_ *Route, t *Target) *bool { return &t.TrustConnectHost })},
	{name: "client_cert", kinds: backends, set: func(_ *Route, t *Target, v string) error { t.ClientCert = v; return nil }},
	{name: "client_key", kinds: backends, set: func(_ *Route, t *Target, v string) error { t.ClientKey = v; return nil }},
	{name: "host", kinds: backends, set: func(_ *Route, t *Target, v string) error {
		t.AsHost = v
		return checkAuthority(v)
	}},
	{name: "untrusted", kinds: backends, flag: true, set: setFlag(func(_ *Route, t *Target) *bool { return &t.Untrusted })},
	{name: "trusted", kinds: backends, flag: true, set: func(*Route, *Target, string) error { return nil }},
	{name: "over_http", kinds: backends, flag: true, set: setFlag(func(_ *Route, t *Target) *bool { return &t.OverHTTP })},
	{name: "one_event", kinds: backends, flag: true, set: setFlag(func(_ *Route, t *Target) *bool { return &t.OneEvent })},
	{name: "sub", kinds: backends | tests, repeated: true, set: func(_ *Route, t *Target, v string) error {
		t.Subs = append(t.Subs, v)
		return checkChannel(v)
	}},
	{name: "channel", kinds: directs, repeated: true, set: func(_ *Route, t *Target, v string) error {
		t.Channels = append(t.Channels, v)
		return checkChannel(v)
	}},
	{name: "ipc_file_mode", unserved: true},
}

func find(list []parameter, name string) *parameter {
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	return nil
}

func names(list []parameter) []string {
	all := make([]string, len(list))
	for i := range list {
		all[i] = list[i].name
	}
	return all
}

func setFlag(at func(*Route, *Target) *bool) func(*Route, *Target, string) error {
	return func(r *Route, t *Target, _ string) error {
		*at(r, t) = true
		return nil
	}
}

func choose[T any](v, a string, isA T, b string, isB T) (none T, err error) {
	switch v {
	case a:
		return isA, nil
	case b:
		return isB, nil
	}
	return none, errors.New("is neither " + a + " nor " + b)
}

func checkPathBeg(v string) error {
	if v[0] != '/' {
		return errors.New("does not begin with /, as every path does")
	}
	return checkPathBytes(v)
}

// checkPathBytes holds a path against what a request can have: paths are compared and sent as they are, encoded.
func checkPathBytes(v string) error {
	if strings.ContainsAny(v, "?#") {
		return errors.New("has a ? or #, with which a path ends")
	}
	for i := range len(v) {
		if v[i] <= ' ' || v[i] >= 0x7f {
			return errors.New("has a character that stands percent-encoded in a path")
		}
	}
	return nil
}

// proxyHeaders are set by the proxy itself, after the route's headers.
var proxyHeaders = []string{"Connection", "Content-Length", "Host", "Transfer-Encoding"}

func parseHeader(v string) (Header, error) {
	name, value, found := strings.Cut(v, ":")
	if !found || name == "" {
		return Header{}, errors.New("is not NAME:VALUE")
	}
	for i := range len(name) {
		if !isTokenChar(name[i]) {
			return Header{}, errors.New("has a name that is no token")
		}
	}
	for _, p := range proxyHeaders {
		if strings.EqualFold(name, p) {
			return Header{}, errors.New("is for the proxy to set")
		}
	}
	return Header{Name: name, Value: strings.Trim(value, " \t")}, nil
}

// isTokenChar is tchar of RFC 9110 5.6.2.
func isTokenChar(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func checkKey(v string) error {
	if b, ok := strings.CutPrefix(v, "base64:"); ok {
		key, err := base64.StdEncoding.DecodeString(b)
		if err != nil || len(key) == 0 {
			return errors.New("is not base64 as its prefix says")
		}
	}
	if v == "file:" {
		return errors.New("names no file")
	}
	return nil
}

func checkChannel(v string) error {
	if err := publish.CheckChannel(v); err != nil {
		return errors.New("names no channel: " + err.Error())
	}
	return nil
}
