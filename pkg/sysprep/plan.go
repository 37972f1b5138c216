package sysprep

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// StepState is how far a step of a plan has come.
type StepState string

// The states.
const (
	StepPlanned StepState = "planned"
	StepDone    StepState = "done"    // set and read back, or written for the next start of the unit
	StepBlocked StepState = "blocked" // it cannot be done from here, so it was not tried
	StepRefused StepState = "refused" // it was tried in vain
	StepOpen    StepState = "open"    // not tried, because something came before
)

// Step is one setting that is to be raised.
type Step struct {
	ID     string     `json:"id"` // of the check that asks for it
	Kind   RemedyKind `json:"kind"`
	Key    string     `json:"key"`
	Before string     `json:"before"` // "" when it could not be read
	Value  string     `json:"value"`
	After  string     `json:"after"` // read back; "" when it was not, or could not be
	State  StepState  `json:"state"`
	Reason string     `json:"reason"` // a sentence when State is blocked, refused or open
	Note   string     `json:"note"`   // what is worth knowing of one that is done

	Restart bool `json:"restart"` // pushd has to be started again before it makes a difference
}

// Plan is what is to be raised on a host, and what only people can do about it.
type Plan struct {
	N     int64     `json:"n"`
	Role  Role      `json:"role"`
	Unit  string    `json:"unit"`
	Steps []Step    `json:"steps"`
	Left  []Finding `json:"left"` // findings whose remedy is no setting that may be raised
	Files []string  `json:"files"`

	// Record is the file that undo needs.
	Record string `json:"record"`
}

// MakePlan makes the checks and collects their remedies. A setting that two checks ask for is raised once, to the higher
// value. Without a unit or a process in the target it is the default unit that is judged, where the host has it.
func MakePlan(h *Host, t Target, s Selection) (Plan, Report) {
	t = h.withUnit(t)
	r := Run(h, t, s)
	p := Plan{N: t.N, Role: t.role(), Unit: t.unit(), Steps: []Step{}, Left: []Finding{}, Files: []string{}, Record: recordFile}
	have := h.directives(p.Unit)
	for _, f := range r.Checks {
		switch {
		case f.Remedy == nil:
		case f.Remedy.Kind == RemedyText:
			p.Left = append(p.Left, f)
		case f.Remedy.Kind == RemedySystemd && have(f.Remedy.Key, f.Remedy.Value):
			// at its next start the unit has it, whatever the process that checks has
		default:
			p.add(f)
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		s.block(h, t, p)
		if s.ID == nofileCheck.ID && t.PID == 0 && s.State == StepPlanned {
			s.Note = "What it is now is the limit of this shell; that of the unit could not be asked for."
		}
	}
	return p, r
}

// withUnit names the default unit, and its process when it runs.
func (h *Host) withUnit(t Target) Target {
	if t.Unit != "" || t.PID != 0 {
		return t
	}
	properties, err := h.systemd(DefaultUnit)
	if err != nil || properties["LoadState"] != "loaded" {
		return t
	}
	t.Unit = DefaultUnit
	if pid, err := h.MainPID(DefaultUnit); err == nil {
		t.PID = pid
	}
	return t
}

// directives tells whether the unit has a value already, by what systemd shows and by what our drop-in holds.
func (h *Host) directives(unit string) (have func(key, value string) bool) {
	shown, _ := h.systemd(unit) //nolint:errcheck // without systemd, or of a copy, only the file counts
	text, _ := h.text(strings.TrimPrefix(DropInFile(unit), "/"))
	file := parseProperties(text)
	return func(key, value string) bool {
		for _, v := range []string{shown[key], strings.TrimSpace(file[key])} {
			if v != "" && reached(key, v, value) {
				return true
			}
		}
		return false
	}
}

// add makes a step of the remedy, or raises the value of the one that is there.
func (p *Plan) add(f Finding) {
	r := f.Remedy
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Kind == r.Kind && s.Key == r.Key })
	if i >= 0 {
		s := &p.Steps[i]
		s.Value, s.Restart = higher(s.Key, s.Value, r.Value), s.Restart || r.Restart
		return
	}
	p.Steps = append(p.Steps, Step{ID: f.ID, Kind: r.Kind, Key: r.Key, Before: r.Before, Value: r.Value,
		State: StepPlanned, Restart: r.Restart})
}

// block marks a step that cannot be done from here, with the reason.
func (s *Step) block(h *Host, t Target, p Plan) {
	switch s.Kind {
	case RemedySysctl:
		s.Reason = h.blockedReason(s.Key, s.Value)
	case RemedySystemd:
		switch {
		case !h.hasSystemd():
			s.Reason = "systemd does not run here; whatever starts pushd has to set it."
			if s.Key == "LimitNOFILE" {
				s.Reason = fmt.Sprintf("systemd does not run here; start pushd where `ulimit -n %s` was done.", s.Value)
			}
		case t.PID != 0 && t.Unit == "":
			s.Reason = fmt.Sprintf("Process %d belongs to no service of this machine's systemd; whatever starts it has to set it.", t.PID)
		case h.unitMissing(p.Unit) != "":
			s.Reason = h.unitMissing(p.Unit)
		case s.Key == "LimitNOFILE" && !p.allows(h, s.Value):
			s.Reason = "fs.nr_open is below it, and pushd would not start: raise that one as well."
		}
	}
	if s.Reason != "" {
		s.State = StepBlocked
	}
}

// unitMissing says in a sentence that systemd cannot start the unit, or "". A copy of a host has no systemd to tell.
func (h *Host) unitMissing(unit string) string {
	properties, err := h.systemd(unit)
	if err != nil {
		return ""
	}
	switch state := properties["LoadState"]; state {
	case "loaded", "":
		return ""
	case "not-found":
		return fmt.Sprintf("systemd has no %s yet; once it is installed, sysprep fix can raise its limits.", unit)
	default:
		return fmt.Sprintf("systemd has not loaded %s (it is %.40q).", unit, state)
	}
}

// hasSystemd reports whether systemd runs on the host, or in the case of a copy, ran.
func (h *Host) hasSystemd() bool {
	return h.exists("run/systemd/system") || !h.live && h.exists("etc/systemd/system")
}

// allows reports whether a limit on open files is within fs.nr_open once the plan is carried out.
func (p Plan) allows(h *Host, limit string) bool {
	want, err := parseLimit(limit[strings.LastIndexByte(limit, ':')+1:]) // the hard one
	if err != nil {
		return true // such as infinity
	}
	nrOpen, err := h.sysctl("fs.nr_open")
	if err != nil || nrOpen >= want {
		return true
	}
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		n, err := parseLimit(s.Value)
		return s.Key == "fs.nr_open" && s.State != StepBlocked && err == nil && n >= want
	})
}

// blockedReason says in a sentence why a kernel setting cannot be set from here, or "".
func (h *Host) blockedReason(key, value string) string {
	assignment := key + "=" + strings.ReplaceAll(value, " ", "\\ ")
	switch {
	case !h.exists(sysctlPath(key)):
		reason := h.missingReason(sysctlPath(key))
		return strings.ToUpper(reason[:1]) + reason[1:] + "."
	case h.settable(key):
		return ""
	case h.sysctlsReadOnly() && ScopeOf(key) == ScopeNetns:
		return "/proc/sys is read-only here, as in a container; start it with --sysctl " + assignment + "."
	case h.sysctlsReadOnly():
		return "/proc/sys is read-only here, as in a container; set it on the host."
	}
	return "It belongs to the machine, and this network namespace may only read it; set it on the host."
}

// todo is the steps that are to be carried out.
func (p Plan) todo() int { return p.Count(StepPlanned) }

// Count is the number of steps in a state.
func (p Plan) Count(state StepState) int {
	n := 0
	for _, s := range p.Steps {
		if s.State == state {
			n++
		}
	}
	return n
}

// Failed reports whether the host still lacks something when the plan has been carried out.
func (p Plan) Failed() bool {
	return p.Count(StepBlocked)+p.Count(StepRefused)+p.Count(StepOpen) > 0 ||
		slices.ContainsFunc(p.Left, func(f Finding) bool { return f.Outcome == Fail })
}

// portRange is the one setting whose first number gives more when it is lower.
const portRange = "net.ipv4.ip_local_port_range"

// higher is the value that gives more, number by number. Where they cannot be compared b is taken.
func higher(key, a, b string) string {
	v, _ := highest(key, a, b)
	return v
}

// highest is the same, and tells whether the values could be compared: they are numbers, and equally many.
func highest(key, a, b string) (value string, comparable bool) {
	if key == "TimeoutStopSec" {
		x, okX := parseStopTime(a)
		y, okY := parseStopTime(b)
		if okX && okY && x > y {
			return a, true
		}
		return b, okX && okY
	}
	if key == reservedPortsKey { // more of them are more
		return unitePorts(a, b)
	}
	separator := " "
	if strings.Contains(a+b, ":") { // a soft and a hard limit; one number is both
		separator, a, b = ":", pair(a), pair(b)
	}
	x, y := strings.Split(a, separator), strings.Split(b, separator)
	if len(x) != len(y) {
		return b, false
	}
	for i := range y {
		m, okM := limitValue(x[i])
		n, okN := limitValue(y[i])
		if !okM || !okN {
			return b, false
		}
		if more := m > n; m != n && more != (key == portRange && i == 0) {
			y[i] = x[i]
		}
	}
	return strings.Join(y, separator), true
}

// timeUnits are those of systemd.time(7), but for months and years, which no service takes to stop.
var timeUnits = map[string]time.Duration{
	"us": time.Microsecond, "usec": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "msec": time.Millisecond,
	"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour, "w": 168 * time.Hour, "week": 168 * time.Hour, "weeks": 168 * time.Hour,
}

// parseStopTime reads TimeoutStopSec= as systemd does: a number without a unit is seconds, and 0 is no bound.
func parseStopTime(s string) (time.Duration, bool) {
	if s = strings.TrimSpace(s); s == "infinity" {
		return math.MaxInt64, true
	}
	total, rest := 0.0, s
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, false
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsLetter))
		unit, ok := timeUnits[rest[:letters]]
		if !ok {
			return 0, false
		}
		total += n * float64(unit)
		rest = strings.TrimLeft(rest[letters:], " ")
	}
	switch {
	case s == "" || total > math.MaxInt64/2:
		return 0, false
	case total == 0:
		return math.MaxInt64, true
	}
	return time.Duration(total), true
}

// pair writes a limit as a soft and a hard one.
func pair(s string) string {
	if strings.Contains(s, ":") {
		return s
	}
	return s + ":" + s
}

// limitValue reads a number as the kernel or systemd writes it.
func limitValue(s string) (uint64, bool) {
	if s == "infinity" || s == "unlimited" {
		return math.MaxUint64, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// reached reports whether after is what was asked for, or more in every number.
func reached(key, after, value string) bool {
	if strings.Contains(after+value, ":") {
		after, value = pair(after), pair(value)
	}
	return sameSetting(key, after, value) || sameSetting(key, higher(key, value, after), after)
}
