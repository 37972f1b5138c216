package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/pkg/forwarded"
	"holdfast/pkg/hub"
	"holdfast/pkg/origin"
	"holdfast/pkg/publish"
	"holdfast/pkg/token"
)

// maxTokenFile is the size of the file that holds the publishers' token.
const maxTokenFile = 4 << 10

// list splits the values of a repeatable option at commas and blanks: an environment variable cannot repeat.
func list(values []string) []string {
	all := strings.FieldsFunc(strings.Join(values, ","), func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	if len(all) == 0 {
		return nil
	}
	return all
}

// access reads the settings of who may come in.
func (r *reader) access(e *effective) {
	var err error
	if proxies := list(r.c.StringSlice("trusted-proxies")); proxies != nil {
		if e.TrustedProxies, err = forwarded.ParsePrefixes(proxies); err != nil {
			r.fail("trusted-proxies", "%v", err)
		}
	}
	if e.AllowOrigin, err = origin.Parse(list(r.c.StringSlice("allow-origin"))); err != nil {
		r.fail("allow-origin", "%v", err)
	}
	e.tokenAudience = r.c.String("token-audience")
	e.TokenCookie = r.c.String("token-cookie")
	e.TokenGrace = r.duration("token-grace", 0, time.Hour)
	if spec := r.c.String("token-key"); spec != "" {
		if e.TokenKey, err = token.ParseKey(spec, os.ReadFile); err != nil {
			r.fail("token-key", "%v", err)
		} else {
			e.TokenKey.Audience = e.tokenAudience
		}
	}
	for _, name := range mustHaveValue {
		if r.c.String(name) == "" && r.cfg.sourceOf(r.c, name).Kind != fromDefault {
			r.fail(name, "it is empty")
		}
	}
	if e.TokenKey == nil && e.tokenAudience != "" {
		r.fail("token-audience", "without token-key it has no meaning")
	}
	if e.TokenKey != nil && r.c.Bool("anonymous") {
		r.fail("anonymous", "it lets everybody in, and token-key only those with a token: choose one of them")
	}
	if !validCookieName(e.TokenCookie) {
		r.fail("token-cookie", "%q is not the name of a cookie", e.TokenCookie)
	}
	e.PublishHosts = list(r.c.StringSlice("publish-host"))
	for _, host := range e.PublishHosts {
		if !validHost(host) {
			r.fail("publish-host", "%q is not a host name or an address", host)
		}
	}
	r.publishToken(e)
}

// validCookieName reports whether name is a token (RFC 6265 4.1.1).
func validCookieName(name string) bool {
	for _, b := range []byte(name) {
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return name != ""
}

// publishToken reads the token that publishers over HTTP have to show. It is the file's first and only line.
func (r *reader) publishToken(e *effective) {
	e.tokenFile = r.c.String("publish-token-file")
	if e.tokenFile == "" {
		return
	}
	text, err := os.ReadFile(e.tokenFile)
	tok := strings.TrimRight(string(text), "\r\n")
	switch {
	case err != nil:
		r.fail("publish-token-file", "%v", err)
	case len(text) > maxTokenFile:
		r.fail("publish-token-file", "%s has %d bytes, at most %d are allowed", e.tokenFile, len(text), maxTokenFile)
	case len(tok) < minTokenBytes:
		r.fail("publish-token-file", "the token in %s has %d bytes, at least %d are needed: try openssl rand -hex 32", e.tokenFile, len(tok), minTokenBytes)
	case strings.ContainsFunc(tok, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		r.fail("publish-token-file", "%s must hold one line of visible ASCII characters", e.tokenFile)
	}
	e.PublishToken = tok
}

const minTokenBytes = 16

// errPublic is what somebody hears who would serve the whole network without having thought about it.
var errPublic = errors.New("it is not a loopback address: anybody who can reach it could read every channel." +
	" Give --token-key to let in clients with a JSON Web Token, or --anonymous to serve everybody")

// admission reports an error when the configuration serves others than this machine, and does not say who may come in.
func (e *effective) admission() error {
	if e.PublishFile != nil && !loopback(e.PublishListen) && e.PublishToken == "" {
		return fmt.Errorf("publish endpoint on %s: it is not a loopback address: that needs --publish-token-file, or anybody could publish", e.PublishListen)
	}
	if e.TokenKey != nil || e.anonymous || e.Routes != "" { // with routes the file decides
		return nil
	}
	for _, address := range slices.Concat(e.Listen, e.inherited) {
		if !loopback(address) {
			return fmt.Errorf("listen on %s: %w", address, errPublic)
		}
	}
	return nil
}

// history reads the rules of what is kept.
func (r *reader) history(e *effective) {
	e.historyTTL = r.duration("history-ttl", time.Second, maxHistoryTTL)
	e.HistoryMemory = r.size("history-memory", 64<<10, 1<<50)
	seen := map[string]bool{}
	for _, value := range list(r.c.StringSlice("history")) {
		rule, err := parseHistory(value, e.historyTTL)
		if err == nil && seen[rule.Pattern] {
			err = fmt.Errorf("%q is there twice", rule.Pattern)
		}
		if err != nil {
			r.fail("history", "%v", err)
			continue
		}
		seen[rule.Pattern] = true
		e.History = append(e.History, rule)
	}
}

// Bounds of what a channel keeps.
const (
	maxHistory    = 10_000 // items
	maxHistoryTTL = 365 * 24 * time.Hour
)

// parseHistory reads [PATTERN=]N[:TIME].
func parseHistory(s string, ttl time.Duration) (rule hub.HistoryRule, err error) {
	rule = hub.HistoryRule{Pattern: "*", TTL: ttl}
	rest := s
	if i := strings.LastIndexByte(s, '='); i >= 0 {
		rule.Pattern, rest = s[:i], s[i+1:]
	}
	if err := publish.CheckChannel(rule.Pattern); err != nil {
		return rule, fmt.Errorf("%q: %w", s, err)
	}
	if i := strings.IndexByte(rule.Pattern, '*'); i >= 0 && i < len(rule.Pattern)-1 {
		return rule, fmt.Errorf("%q: a * stands at the end of a pattern only", s)
	}
	number, age, aged := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n > maxHistory {
		return rule, fmt.Errorf("%q: want [PATTERN=]N[:TIME] with N from 0 to %d, such as 100, news=10 or chat-*=50:1h", s, maxHistory)
	}
	rule.Items = int(n)
	if !aged {
		return rule, nil
	}
	if rule.TTL, err = time.ParseDuration(age); err != nil || rule.TTL < time.Second || rule.TTL > maxHistoryTTL {
		return rule, fmt.Errorf("%q: %q is not a time from 1s to %s, such as 30s, 5m or 1h", s, age, durationText(maxHistoryTTL))
	}
	return rule, nil
}

// historyTexts is the rules as --history takes them.
func historyTexts(rules []hub.HistoryRule) (all []string) {
	for _, rule := range rules {
		all = append(all, fmt.Sprintf("%s=%d:%s", rule.Pattern, rule.Items, durationText(rule.TTL)))
	}
	return all
}
