package route

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Limits of a file, in which a route takes about 100 bytes.
const (
	maxFileBytes = 16 << 20
	maxMistakes  = 1000 // a file that is not for routes at all has one in every line
)

// Options say how a file is read.
type Options struct {
	SkipUnserved bool // lines with parameters or targets that pushd does not serve are left out, with a warning

	// What else is looked at, where it is not nil: the key of sig_key, whose errors and warnings show nothing of it, and the files of
	// client_cert and client_key.
	SigKey     func(spec string) (warning string, err error)
	ClientCert func(certificate, key string) error
}

// Parse reads a routes file. Its error is of type Errors and holds every mistake, of very many the first thousand; name
// stands in their places. A file without any route is a mistake too, because that is what a file looks like while it is
// being written.
func Parse(name string, text []byte, opts Options) (*Table, error) {
	if len(text) > maxFileBytes {
		return nil, Errors{{File: name, Text: fmt.Sprintf("the file is larger than %d MiB", maxFileBytes>>20)}}
	}
	p := parser{file: name, opts: opts}
	rest := strings.TrimPrefix(string(text), "\ufeff")
	for more := true; more; {
		if len(p.errors) >= maxMistakes {
			p.errors = append(p.errors, &Problem{File: name, Text: "there are more mistakes, which are not listed"})
			break
		}
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		p.line++
		if r := p.parseLine(strings.TrimSuffix(line, "\r")); r != nil {
			p.routes = append(p.routes, r)
		}
	}
	if len(p.errors) == 0 && len(p.routes) == 0 {
		p.errors = append(p.errors, &Problem{File: name, Text: "there is no route"})
	}
	if len(p.errors) > 0 {
		return nil, p.errors
	}
	return newTable(name, p.routes, p.warnings), nil
}

// parser holds what is found in a file. While it reads a line, route and target are what the line's parameters set.
type parser struct {
	file     string
	opts     Options
	line     int
	routes   []*Route
	errors   Errors
	warnings []*Problem

	route    *Route
	target   *Target
	unserved []*Problem // of this line
}

func (p *parser) problem(column int, hint, format string, args ...any) *Problem {
	return &Problem{File: p.file, Line: p.line, Column: column, Text: fmt.Sprintf(format, args...), Hint: hint}
}

func (p *parser) wrong(column int, hint, format string, args ...any) {
	p.errors = append(p.errors, p.problem(column, hint, format, args...))
}

func (p *parser) warn(column int, format string, args ...any) {
	p.warnings = append(p.warnings, p.problem(column, "", format, args...))
}

// parseLine returns the line's route, or nil when it has none or a mistake.
func (p *parser) parseLine(line string) *Route {
	sections, problem := scan(line)
	if problem != nil {
		problem.File, problem.Line = p.file, p.line
		p.errors = append(p.errors, problem)
		return nil
	}
	if len(sections) == 0 {
		return nil
	}
	errorsBefore, warningsBefore := len(p.errors), len(p.warnings)
	p.route, p.target, p.unserved = &Route{Line: p.line}, nil, nil
	p.parseCondition(&sections[0])
	for i := range sections[1:] {
		p.parseTarget(&sections[i+1])
	}
	p.checkRoute(sections)
	if len(p.unserved) > 0 {
		if !p.opts.SkipUnserved {
			p.errors = append(p.errors, p.unserved...)
		} else { // what else is wrong with the line no longer matters
			p.errors, p.warnings = p.errors[:errorsBefore], append(p.warnings[:warningsBefore], p.unserved...)
			return nil
		}
	}
	if len(p.errors) > errorsBefore {
		slices.SortStableFunc(p.errors[errorsBefore:], func(a, b *Problem) int { return cmp.Compare(a.Column, b.Column) })
		return nil
	}
	if r := p.route; !r.Named {
		r.ID = string(r.appendCondition(nil, false))
	}
	return p.route
}

func (p *parser) parseCondition(s *section) {
	r := p.route
	p.parseHost(s)
	p.parseFields(s, conditionParameters, "a condition")
	slices.Reverse(r.Headers)
	if s.value == "" && !r.Named {
		p.wrong(s.column, "begin the line with a host, or with * for any host", "the condition has neither a host nor an id")
	}
}

func (p *parser) parseHost(s *section) {
	value := s.value
	switch {
	case value == "" || value == "*":
		p.route.Host = value
		return
	case strings.Contains(value, "*"):
		p.wrong(s.column, "name each host on its own line, or use * alone for all others",
			"%q: there are no wildcards within a host", value)
		return
	}
	if h, err := parseHost(value); err == nil { // IPv6 without brackets too
		p.route.Host = h
		return
	}
	host, _, hasPort, err := cutPort(value)
	h, hostErr := parseHost(host)
	switch {
	case strings.Contains(value, "://"):
		p.wrong(s.column, "", "%q: a condition has a host, not a URL", value)
	case err != nil || hostErr != nil:
		p.wrong(s.column, "", "host %q %v", value, cmp.Or(err, hostErr))
	case hasPort:
		p.wrong(s.column, "write "+host, "%q: a condition has a host without a port", value)
	default:
		p.route.Host = h
	}
}

// parseFields sets what the section's parameters say. of names the section in errors.
func (p *parser) parseFields(s *section, list []parameter, of string) {
	seen := map[string]bool{}
	for i := range s.fields {
		f := &s.fields[i]
		param := find(list, f.name)
		switch {
		case param == nil:
			p.unknown(f, list, of)
		case param.unserved:
			p.notServed(f.column, f.name)
		case seen[f.name] && !param.repeated:
			p.wrong(f.column, "", "%s is given twice", f.name)
		case param.flag && f.hasValue:
			p.wrong(f.column, "write just "+f.name, "%s has no value here", f.name)
		case !param.flag && !f.hasValue:
			p.wrong(f.column, "", "%s needs a value: %s=...", f.name, f.name)
		case !param.flag && f.value == "" && !param.mayBeEmpty:
			p.wrong(f.column, "", "the value of %s is empty", f.name)
		default:
			p.set(f, param)
		}
		seen[f.name] = true
	}
}

// set applies one parameter, which may be of no use to the kind of the target.
func (p *parser) set(f *field, param *parameter) {
	if t := p.target; t != nil && !param.kinds.has(t.Kind) {
		switch {
		case t.Kind == Test && param.kinds.has(Backend): // Pushpin ignores it
			p.warn(f.column, "%s means nothing for the target test", f.name)
		case t.Kind == Direct:
			p.wrong(f.column, "", "%s means nothing for the target direct", f.name)
		default:
			p.wrong(f.column, "sub=... subscribes to a channel as well", "%s is for the target direct only", f.name)
		}
		return
	}
	err := param.set(p.route, p.target, f.value)
	switch {
	case err == nil:
	case param.secret:
		p.wrong(f.column, "", "%s %v", f.name, err)
	default:
		p.wrong(f.column, hintFor(f), "%s %q %v", f.name, f.value, err)
	}
}

// hintFor knows what is usually meant by a value that is wrong.
func hintFor(f *field) string {
	switch {
	case f.name == "path_beg" && f.value[0] != '/':
		return "write path_beg=/" + f.value
	case f.name == "header" && strings.HasPrefix(strings.ToLower(f.value), "host:"):
		return "as_host sets it"
	case f.name == "proto":
		return didYouMean(strings.ToLower(f.value), []string{"http", "ws"})
	}
	return ""
}

func (p *parser) unknown(f *field, list []parameter, of string) {
	other, place := targetParameters, "put it after a target"
	if p.target != nil {
		other, place = conditionParameters, "put it in the condition, before the targets"
	}
	if param := find(other, f.name); param != nil && !param.unserved {
		p.wrong(f.column, place, "%s is no parameter of %s", f.name, of)
		return
	} else if param != nil {
		p.notServed(f.column, f.name)
		return
	}
	hint := didYouMean(strings.ToLower(f.name), names(list))
	if hint == "" {
		hint = didYouMean(strings.ToLower(f.name), names(other))
	}
	p.wrong(f.column, hint, "unknown parameter %q of %s", f.name, of)
}

func (p *parser) notServed(column int, what string) {
	if p.opts.SkipUnserved {
		p.unserved = append(p.unserved, p.problem(column, "other routes may match its requests",
			"line left out, because pushd does not serve %s", what))
		return
	}
	p.unserved = append(p.unserved, p.problem(column, "--skip-unserved-routes leaves the line out", "pushd does not serve %s", what))
}

func (p *parser) parseTarget(s *section) {
	p.route.Targets = append(p.route.Targets, Target{})
	p.target = &p.route.Targets[len(p.route.Targets)-1]
	switch {
	case s.value == "test":
		p.target.Kind = Test
	case s.value == "direct":
		p.target.Kind = Direct
	case s.value == "":
		p.wrong(s.column, "", "a target begins with HOST:PORT, test or direct, and has its parameters after a comma")
	case strings.HasPrefix(s.value, "zhttp/"), strings.HasPrefix(s.value, "zhttpreq/"):
		name, _, _ := strings.Cut(s.value, "/")
		p.notServed(s.column, name+" targets")
	default:
		p.parseAddr(s)
	}
	p.parseFields(s, targetParameters, "a target")
	p.checkTarget(s)
}

func (p *parser) parseAddr(s *section) {
	value := s.value
	if scheme, rest, found := strings.Cut(value, "://"); found {
		hint := "write HOST:PORT"
		if strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "wss") {
			hint += ",ssl"
		}
		p.wrong(s.column, hint, "target %q is a URL, not an address", scheme+"://"+rest)
		return
	}
	host, port, hasPort, err := cutPort(value)
	if err == nil {
		host, err = parseHost(host)
	}
	switch {
	case err == nil && !hasPort:
		hint := didYouMean(strings.ToLower(value), []string{"test", "direct"})
		if hint == "" {
			hint = fmt.Sprintf("write %s:80", value)
		}
		p.wrong(s.column, hint, "target %q has no port", value)
		return
	case err != nil && strings.Count(value, ":") > 1 && !strings.HasPrefix(value, "["):
		p.wrong(s.column, "an IPv6 address is written [2001:db8::1]:80", "target %q is not HOST:PORT", value)
		return
	case err != nil:
		p.wrong(s.column, "", "target %q %v", value, err)
		return
	}
	if _, err := parsePort(port); err != nil {
		p.wrong(s.column, "", "target %q %v", value, err)
		return
	}
	p.target.Host, p.target.Addr = host, net.JoinHostPort(host, port)
}

// checkTarget looks at a target's parameters together.
func (p *parser) checkTarget(s *section) {
	t := p.target
	given := func(name string) int {
		return slices.IndexFunc(s.fields, func(f field) bool { return f.name == name })
	}
	if i := given("trusted"); i >= 0 && t.Untrusted {
		p.wrong(s.fields[i].column, "", "the target is both trusted and untrusted")
	}
	if (t.ClientCert == "") != (t.ClientKey == "") {
		p.wrong(s.column, "", "client_cert and client_key go together")
	}
	if t.Kind != Backend {
		return
	}
	if i := given("client_cert"); t.ClientCert != "" && t.ClientKey != "" && p.opts.ClientCert != nil {
		if err := p.opts.ClientCert(t.ClientCert, t.ClientKey); err != nil {
			p.wrong(s.fields[i].column, "", "client_cert and client_key: %v", err)
		}
	}
	if t.TLS {
		return
	}
	for _, name := range []string{"insecure", "trust_connect_host", "client_cert"} {
		if i := given(name); i >= 0 {
			p.warn(s.fields[i].column, "%s means nothing without ssl", name)
		}
	}
}

// checkRoute looks at the whole line.
func (p *parser) checkRoute(sections []section) {
	r, condition := p.route, &sections[0]
	if len(sections) == 1 {
		p.wrong(condition.column, "a target follows the condition after a space", "there is no target")
		return
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Kind == Direct {
			p.checkDirect(sections, i)
		} else if t.Kind == Test && i < len(r.Targets)-1 {
			p.warn(sections[i+2].column, "the targets after test are never tried")
			break
		}
	}
	if r.Replace && r.PathRem > 0 {
		p.warn(condition.column, "path_rem means nothing beside replace_beg")
		r.PathRem = 0
	}
	p.checkSigKey(condition)
	p.checkHeaders(condition)
	p.warnUnserved(condition, sections[1:])
}

func (p *parser) checkSigKey(condition *section) {
	i := slices.IndexFunc(condition.fields, func(f field) bool { return f.name == "sig_key" })
	spec := p.route.SigKey
	switch {
	case i < 0 || spec == "" || checkKey(spec) != nil:
	case p.opts.SigKey != nil:
		warning, err := p.opts.SigKey(spec)
		if err != nil {
			p.wrong(condition.fields[i].column, "", "sig_key: %v", err)
		} else if warning != "" {
			p.warn(condition.fields[i].column, "sig_key: %s", warning)
		}
	case spec == "changeme":
		p.warn(condition.fields[i].column, "sig_key is changeme, which everybody knows")
	}
}

// checkDirect refuses what Pushpin's parameters would mean for direct, before there is a file that relies on it.
func (p *parser) checkDirect(sections []section, i int) {
	if len(p.route.Targets) > 1 {
		p.wrong(sections[i+1].column, "", "direct is the only target of its line")
	}
	for _, f := range sections[0].fields {
		if param := find(conditionParameters, f.name); param != nil && !param.unserved && !param.kinds.has(Direct) {
			p.wrong(f.column, "", "%s means nothing for the target direct", f.name)
		}
	}
}

// checkHeaders keeps the first of several headers of one name, the one that comes out of Pushpin.
func (p *parser) checkHeaders(condition *section) {
	r := p.route
	for i := 0; i < len(r.Headers); i++ {
		name := r.Headers[i].Name
		later := slices.ContainsFunc(r.Headers[i+1:], func(h Header) bool { return strings.EqualFold(h.Name, name) })
		if later {
			p.warn(condition.column, "header %s is given twice: the first counts", name)
			r.Headers = slices.Delete(r.Headers, i, i+1)
			i--
		}
	}
}

// warnUnserved says what the line asks for and gets only later.
func (p *parser) warnUnserved(condition *section, targets []section) {
	r := p.route
	for _, f := range condition.fields {
		switch {
		case f.name == "log_level":
			p.warn(f.column, "log_level is not served: the route logs as all others do")
		case f.name == "proto" && r.Protocol == WebSocket && r.Targets[0].Kind != Direct:
			p.warn(f.column, "WebSocket requests on proxied routes are not served yet: they get 501")
		}
	}
	for i := range r.Targets {
		if r.Targets[i].OverHTTP && r.Protocol != WebSocket {
			p.warn(targets[i].column, "over_http is not served yet: WebSocket requests get 501")
			return
		}
	}
}
