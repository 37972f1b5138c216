package sysprep

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Outcome is the verdict of a check.
type Outcome string

// The outcomes.
const (
	OK   Outcome = "ok"
	Warn Outcome = "warn" // the connections fit, but the host should be changed
	Fail Outcome = "fail" // the connections do not fit, or what is set does harm
	Skip Outcome = "skip" // it could not be found out
)

// The groups of checks, in the order of the list.
const (
	GroupMemory   = "memory"
	GroupFiles    = "files"
	GroupEpoll    = "epoll"
	GroupAccept   = "accept"
	GroupBuffers  = "buffers"
	GroupLife     = "lifetimes"
	GroupPorts    = "ports"
	GroupTables   = "tables"
	GroupService  = "service"
	GroupEvidence = "evidence"
)

// UnitBytes marks the values of a Finding that count bytes.
const UnitBytes = "bytes"

// Check is one rule about the host.
type Check struct {
	ID      string // stable; a kernel setting goes by the name that sysctl gives it
	Group   string
	Explain string // what it governs and why it matters, in a few sentences for sysprep explain

	// run reads the host and judges. An error means that the host does not show what is needed, and skips the check.
	// It leaves ID and Group of the Finding to the caller.
	run func(h *Host, t Target) (Finding, error)
}

// checks holds every check, in the order in which they are reported. What bounds another stands before it, so that the
// remedies work from top to bottom.
var checks = slices.Concat(memoryChecks, fileChecks, epollChecks, acceptChecks, bufferChecks, lifeChecks, portChecks,
	tableChecks, serviceChecks, evidenceChecks)

// Checks lists every check, in the order in which they are reported.
func Checks() []Check { return slices.Clone(checks) }

// Lookup finds a check by its id.
func Lookup(id string) (Check, bool) {
	for _, c := range checks {
		if c.ID == id {
			return c, true
		}
	}
	return Check{}, false
}

// Suggest returns the id that was probably meant, or "".
func Suggest(id string) string {
	ids := make([]string, len(checks))
	for i, c := range checks {
		ids[i] = c.ID
	}
	return nearestName(id, ids)
}

// Finding is what a check found.
type Finding struct {
	ID      string  `json:"id"`
	Outcome Outcome `json:"outcome"`

	// Current and Wanted are as the kernel prints them, numbers without separators, or "unlimited". Of a single number
	// Wanted is the least that will do: more is never wrong. It is "" where nothing is asked for.
	Current string `json:"current"`
	Wanted  string `json:"wanted"`

	Why string `json:"why"` // one sentence; of a skipped check, why it was skipped

	// The remedies are empty when the outcome is ok or skip. Where they are commands, each line can be pasted into a
	// shell of root.
	FixNow     string `json:"fix_now"`
	FixForGood string `json:"fix_for_good"`

	Group   string `json:"group"`
	Unit    string `json:"unit,omitempty"` // UnitBytes, or "" for a plain number
	Formula string `json:"formula"`        // how Wanted comes about, with its numbers
	Note    string `json:"note,omitempty"` // what is worth knowing though nothing has to be done

	// Holds is the number of connections for which this check alone has room; nil when it sets no bound.
	Holds *int64 `json:"holds"`

	Remedy *Remedy `json:"-"` // for a program; nil when the outcome is ok or skip
}

// Limit is a check that bounds the number of connections.
type Limit struct {
	ID    string `json:"id"`
	Holds int64  `json:"holds"` // connections for which it has room
}

// Report is the outcome of the checks on one host.
type Report struct {
	N    int64 `json:"n"`
	Role Role  `json:"role"`

	// Capacity is the number of connections that the host holds as it stands, and FirstLimit the id of the check that
	// bounds it. Both are nil when no check that could be made sets a bound.
	Capacity   *int64  `json:"capacity"`
	FirstLimit *string `json:"first_limit"`

	Checks []Finding `json:"checks"`

	Kernel  string   `json:"kernel"`  // release, or "" where the host does not show it
	Limits  []Limit  `json:"limits"`  // all that bound the number, the lowest first
	Assumed []string `json:"assumed"` // the figures of the formulas that nobody has measured here
}

// Selection says which checks are made. The zero value means all.
type Selection struct {
	Only []string // ids; when empty, all but Skip
	Skip []string
}

func (s Selection) has(id string) bool {
	return (len(s.Only) == 0 || slices.Contains(s.Only, id)) && !slices.Contains(s.Skip, id)
}

// Run makes the selected checks.
func Run(h *Host, t Target, s Selection) Report {
	h.read = make(map[string]string)
	defer func() { h.read = nil }()
	r := Report{N: t.N, Role: t.role(), Kernel: h.release(), Checks: []Finding{}, Limits: []Limit{}, Assumed: t.assumed(h, s)}
	foreign := h.foreignNetns(t)
	for _, c := range checks {
		if !s.has(c.ID) {
			continue
		}
		f, err := Finding{}, foreign
		if err == nil || !ofNetns(c.ID) {
			f, err = c.run(h, t)
		}
		if err != nil {
			f = Finding{Outcome: Skip, Why: h.skipReason(err)}
		}
		f.ID, f.Group = c.ID, c.Group
		if f.Holds != nil {
			r.Limits = append(r.Limits, Limit{ID: f.ID, Holds: *f.Holds})
		}
		r.Checks = append(r.Checks, f)
	}
	slices.SortStableFunc(r.Limits, func(a, b Limit) int { return int(a.Holds - b.Holds) })
	if len(r.Limits) > 0 {
		r.Capacity, r.FirstLimit = &r.Limits[0].Holds, &r.Limits[0].ID
	}
	return r
}

// Count is the number of checks with the outcome.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, f := range r.Checks {
		if f.Outcome == o {
			n++
		}
	}
	return n
}

// skipReason says in one sentence why the host could not be read.
func (h *Host) skipReason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		path.Path = strings.TrimLeft(path.Path, "/") // that of a link has its root
	}
	switch {
	case errors.As(err, &path) && errors.Is(err, fs.ErrNotExist):
		return h.missingReason(path.Path)
	case errors.As(err, &path) && errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("/%s may not be read by this user; check as root, or on the host itself", path.Path)
	}
	return err.Error()
}

// missingReason says why a file is not there: too old a kernel, a child network namespace, or something that hides it.
func (h *Host) missingReason(name string) string {
	key := strings.ReplaceAll(strings.TrimPrefix(name, "proc/sys/"), "/", ".")
	child, _ := h.Netns()
	switch since := sinceKernel[key]; {
	case since != (kernelVersion{}) && h.kernel().known() && h.kernel().before(since):
		return fmt.Sprintf("Linux %s does not have it; it came with %d.%d", h.release(), since.major, since.minor)
	case child && strings.HasPrefix(key, "net.") && ScopeOf(key) == ScopeHost:
		return fmt.Sprintf("/%s is not visible in a network namespace of its own; check on the host itself", name)
	case strings.HasPrefix(name, "proc/") && name[len("proc/"):] != "" && name[len("proc/")] >= '0' && name[len("proc/")] <= '9':
		return fmt.Sprintf("/%s is gone: the process has ended", name)
	}
	return fmt.Sprintf("/%s is not visible here, as in a container; check on the host itself", name)
}

// atLeast judges a current value: below need the connections do not fit, below want it should be raised.
func atLeast(current, need, want int64) Finding {
	f := Finding{Outcome: OK, Current: number(current), Wanted: number(want)}
	switch {
	case current < need:
		f.Outcome = Fail
	case current < want:
		f.Outcome = Warn
	}
	return f
}

// fine is a finding that asks for nothing, with what is worth knowing about it.
func fine(current, note string) Finding {
	return Finding{Outcome: OK, Current: current, Note: note}
}

// number prints n, the highest of all as "unlimited".
func number(n int64) string {
	if n == math.MaxInt64 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// numbers prints several numbers as the kernel reads them.
func numbers(v []int64) string {
	s := make([]string, len(v))
	for i := range v {
		s[i] = strconv.FormatInt(v[i], 10)
	}
	return strings.Join(s, " ")
}
