package sysprep

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Effect is what a line of a tuning does on a host, for a target.
type Effect string

// The effects, in the order in which they are reported.
const (
	Helps    Effect = "helps"
	Nothing  Effect = "nothing"
	Harms    Effect = "harms"
	Unjudged Effect = "unjudged" // it has no bearing on the number of connections that is known here
)

// Effects lists them.
func Effects() []Effect { return []Effect{Helps, Nothing, Harms, Unjudged} }

// Judgement is what an audit finds of one line of a tuning.
type Judgement struct {
	Line     int    `json:"line"` // 0: not in the sysctl file but in what was published beside it
	Key      string `json:"key"`
	Value    string `json:"value"`
	Effect   Effect `json:"effect"`
	Why      string `json:"why"`      // a sentence
	Evidence string `json:"evidence"` // a number, a formula or a kernel release; "" when the sentence says it all
	Better   string `json:"better"`   // the value to have instead, or ""
}

// Lack is a setting that the host needs for the target and the tuning does not have.
type Lack struct {
	ID      string `json:"id"`
	Current string `json:"current"`
	Wanted  string `json:"wanted"`
	Why     string `json:"why"`
}

// Audit is a tuning held against a host and a target.
type Audit struct {
	Tuning string      `json:"tuning"` // its name, or the file
	Title  string      `json:"title"`  // where it comes from, or ""
	N      int64       `json:"n"`
	Role   Role        `json:"role"`
	Kernel string      `json:"kernel"`
	Lines  []Judgement `json:"lines"`
	Lacks  []Lack      `json:"lacks"`
}

// Count is the number of lines with the effect.
func (a Audit) Count(e Effect) int {
	n := 0
	for _, j := range a.Lines {
		if j.Effect == e {
			n++
		}
	}
	return n
}

// maxTuningBytes bounds what is read as a tuning. The longest that distributions ship have 5 KiB.
const maxTuningBytes = 1 << 20

// ErrNoTuning means that a text holds no setting at all, so that there is nothing to audit.
var ErrNoTuning = errors.New("sysprep: no kernel settings")

// Tuning is a set of kernel settings to be held against a host.
type Tuning struct {
	Name, Title string
	N           int64 // connections that it was published for; 0 when that is not known
	settings    []Setting
	beside      []limitSetting
}

// ParseTuning reads a file in the syntax of sysctl.d. Every line that is not understood is in the error, as a
// LineError.
func ParseTuning(name string, text []byte) (Tuning, error) {
	if len(text) > maxTuningBytes {
		return Tuning{}, fmt.Errorf("%s has more than %d KiB, which no file of kernel settings has", name, maxTuningBytes>>10)
	}
	settings, bad := parseSettings(name, text)
	var problems []error
	for _, e := range bad {
		problems = append(problems, e)
	}
	switch {
	case len(problems) > 0:
		return Tuning{}, errors.Join(problems...)
	case len(settings) == 0:
		return Tuning{}, fmt.Errorf("%w in %s", ErrNoTuning, name)
	}
	return Tuning{Name: name, settings: settings}, nil
}

// RunAudit holds a tuning against a host and what it shall carry.
func RunAudit(h *Host, t Target, tuning Tuning) Audit {
	r := Run(h, t, Selection{})
	a := &auditor{h: h, t: t, tuning: tuning, findings: make(map[string]Finding)}
	for _, f := range r.Checks {
		a.findings[f.ID] = f
	}
	a.memory, _ = h.memTotal() //nolint:errcheck // 0 leaves out what is judged by it
	out := Audit{Tuning: tuning.Name, Title: tuning.Title, N: t.N, Role: t.role(), Kernel: r.Kernel,
		Lines: make([]Judgement, 0, len(tuning.settings)), Lacks: []Lack{}}
	for i, s := range tuning.settings {
		j := a.judge(i)
		j.Line, j.Key, j.Value = s.Line, s.Key, oneSpaced(s.Value)
		out.Lines = append(out.Lines, j)
	}
	for _, s := range tuning.beside {
		out.Lines = append(out.Lines, s.judge(a))
	}
	out.Lacks = append(out.Lacks, a.lacks(r)...)
	return out
}

// auditor holds what the rules look at.
type auditor struct {
	h        *Host
	t        Target
	tuning   Tuning
	findings map[string]Finding // of this host, by id
	memory   int64              // bytes of the host, 0 when unknown
}

// judge finds what the line does: first whether it takes effect at all, then whether that is for the better.
func (a *auditor) judge(i int) Judgement {
	s := a.tuning.settings[i]
	switch {
	case s.Exclude:
		return Judgement{Effect: Unjudged, Why: "Only keeps patterns from setting this key."}
	case s.Glob:
		return a.judgePattern(s)
	}
	if later := a.overriddenBy(i); later != nil && s.Key != "net.ipv4.tcp_tw_recycle" {
		return Judgement{Effect: Nothing, Why: fmt.Sprintf("Line %d sets it again, and the last one counts.", later.Line),
			Evidence: fmt.Sprintf("line %d: %s", later.Line, later.Value)}
	}
	return a.judgeKey(s)
}

// judgeKey judges a line that is the last word on its key.
func (a *auditor) judgeKey(s Setting) Judgement {
	rule, known := auditRules[s.Key]
	live, err := a.h.sysctlText(s.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a.judgeMissing(s)
	case err != nil && !known:
		return Judgement{Effect: Unjudged, Why: a.h.skipReason(err)}
	case !a.h.settable(s.Key):
		return Judgement{Effect: Nothing, Why: "It cannot be set from inside this container or network namespace.",
			Evidence: "in effect here: " + live}
	case known:
		return a.judgeValue(rule, s, live)
	case live == oneSpaced(s.Value):
		return Judgement{Effect: Nothing, Why: "This host has that value already.", Evidence: "in effect here: " + live}
	}
	return Judgement{Effect: Unjudged, Why: "No rule of sysprep depends on it.", Evidence: "in effect here: " + live}
}

// judgeMissing judges a line whose key the host does not have.
func (a *auditor) judgeMissing(s Setting) Judgement {
	release := "this kernel"
	if r := a.h.release(); r != "" {
		release = "Linux " + r
	}
	evidence := fmt.Sprintf("%s has no /%s", release, sysctlPath(s.Key))
	if gone, ok := goneKeys[s.Key]; ok {
		j := Judgement{Effect: gone.effect, Why: gone.why, Evidence: gone.since + "; " + evidence, Better: gone.better}
		if s.Optional && j.Effect == Harms {
			j.Effect, j.Why = Nothing, "This kernel does not have it; the - in front keeps sysctl from reporting an error."
		}
		return j
	}
	j := Judgement{Effect: Nothing, Evidence: evidence}
	switch near := Suggest(s.Key); {
	case !a.h.settable(s.Key):
		j.Why = "Not visible in this container or network namespace: what the host has counts."
	case strings.HasPrefix(s.Key, "net.netfilter.") || strings.HasPrefix(s.Key, "net.bridge."):
		j.Why = "It exists only while its kernel module is loaded, and that one is not."
	case near != "" && near != s.Key:
		j.Why, j.Better = "There is no such setting; it looks like a slip of the pen.", near
	default:
		j.Why = "This kernel has no such setting; sysctl reports an error and goes on."
	}
	return j
}

// judgePattern judges a line that is about several keys by the worst that it does to one of them.
func (a *auditor) judgePattern(s Setting) Judgement {
	worst := Judgement{Effect: Unjudged, Why: "The pattern matches nothing that a rule of sysprep depends on."}
	keys := make([]string, 0, len(auditRules))
	for key := range auditRules {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !s.matches(key) || a.named(key) {
			continue
		}
		one := s
		one.Key, one.Glob = key, false
		j := a.judgeKey(one)
		if severity(j.Effect) > severity(worst.Effect) {
			worst = j
			worst.Why = key + ": " + j.Why
		}
	}
	return worst
}

// named reports whether a line of the tuning is about the key by name, which patterns then pass over.
func (a *auditor) named(key string) bool {
	return slices.ContainsFunc(a.tuning.settings, func(s Setting) bool { return !s.Glob && s.Key == key })
}

func severity(e Effect) int {
	return slices.Index([]Effect{Unjudged, Nothing, Helps, Harms}, e)
}

// overriddenBy is the last line that sets the key of line i again, or nil.
func (a *auditor) overriddenBy(i int) *Setting {
	for k := len(a.tuning.settings) - 1; k > i; k-- {
		if s := &a.tuning.settings[k]; !s.Glob && !s.Exclude && s.Key == a.tuning.settings[i].Key {
			return s
		}
	}
	return nil
}

// value is what the tuning sets the key to in the end, or "" when it does not.
func (a *auditor) value(key string) (value string, line int) {
	for _, s := range slices.Backward(a.tuning.settings) {
		if !s.Exclude && !s.Glob && s.Key == key {
			return oneSpaced(s.Value), s.Line
		}
	}
	return "", 0
}

// lacks are the findings of this host about which the tuning does nothing.
func (a *auditor) lacks(r Report) []Lack {
	var out []Lack
	for _, f := range r.Checks {
		if f.Remedy == nil || f.Remedy.Kind != RemedySysctl || f.Outcome != Fail && f.Outcome != Warn {
			continue
		}
		if v, _ := a.value(f.Remedy.Key); v == "" {
			out = append(out, Lack{ID: f.ID, Current: f.Current, Wanted: f.Wanted, Why: f.Why})
		}
	}
	return out
}

// limitSetting is a limit on open files that was published beside a sysctl file.
type limitSetting struct {
	where string // as the systemd unit, or limits.conf
	value int64
	// reaches says which processes it does not reach, in a sentence; "" when it reaches the service.
	reaches string
}

// judge holds the limit against what one process needs.
func (l limitSetting) judge(a *auditor) Judgement {
	j := Judgement{Key: l.where, Value: strconv.FormatInt(l.value, 10)}
	need := fdsNeeded(a.t.perProcess())
	j.Evidence = fmt.Sprintf("%d*1.02 + 1024 = %d files", a.t.perProcess(), need)
	switch {
	case l.value == 0:
		j.Value, j.Effect, j.Why, j.Evidence = "", Nothing, l.reaches, ""
	case l.reaches != "":
		j.Effect, j.Why, j.Better = Nothing, l.reaches, fmt.Sprintf("LimitNOFILE=%d in the unit", max(need, l.value))
	case l.value < a.t.perProcess():
		j.Effect, j.Why, j.Better = Harms, "It is the limit of the service, and below the connections.", fmt.Sprintf("LimitNOFILE=%d", need)
	case l.value < need:
		j.Effect, j.Better = Helps, fmt.Sprintf("LimitNOFILE=%d", need)
		j.Why = "The limit of a unit reaches the service, which limits.conf does not; it leaves little for anything but the connections."
	default:
		j.Effect, j.Why = Helps, "The limit of a unit reaches the service, which limits.conf does not."
	}
	return j
}
