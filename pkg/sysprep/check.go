package sysprep

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
)

// Outcome is the verdict of a check.
type Outcome string

// The outcomes.
const (
	OK   Outcome = "ok"
	Warn Outcome = "warn" // the connections fit, but the host should be changed
	Fail Outcome = "fail" // the connections do not fit
	Skip Outcome = "skip" // it could not be found out
)

// The groups of checks, in the order of the list.
const (
	GroupMemory  = "memory"
	GroupFiles   = "files"
	GroupEpoll   = "epoll"
	GroupNetwork = "network"
)

// UnitBytes marks the values of a Finding that count bytes.
const UnitBytes = "bytes"

// Check is one rule about the host.
type Check struct {
	ID    string // stable; a kernel setting goes by the name that sysctl gives it
	Group string

	// run reads the host and judges. An error means that the host does not show what is needed, and skips the check.
	// It leaves ID and Group of the Finding to the caller.
	run func(h *Host, t Target) (Finding, error)
}

// checks holds every check, in the order in which they are reported. fs.nr_open stands before the limit that it bounds,
// so that the remedies work from top to bottom.
var checks = []Check{
	memoryCheck,
	nrOpenCheck,
	nofileCheck,
	fileMaxCheck,
	epollWatchesCheck,
	somaxconnCheck,
}

// Finding is what a check found.
type Finding struct {
	ID      string  `json:"id"`
	Group   string  `json:"group"`
	Outcome Outcome `json:"outcome"`

	// Current and Wanted are numbers as the kernel prints them, without separators, or "unlimited". Wanted is the
	// least that will do: more is never wrong.
	Current string `json:"current"`
	Wanted  string `json:"wanted"`
	Unit    string `json:"unit,omitempty"` // UnitBytes, or "" for a plain number

	Formula string `json:"formula"` // how Wanted comes about, with its numbers
	Why     string `json:"why"`     // one sentence; of a skipped check, why it was skipped

	// The remedies are empty when the outcome is ok or skip. Where they are commands, each line can be pasted into a
	// shell of root.
	FixNow     string `json:"fix_now"`
	FixForGood string `json:"fix_for_good"`

	// Holds is the number of connections for which this check alone has room; nil when it sets no bound.
	Holds *int64 `json:"holds"`
}

// Report is the outcome of all checks on one host.
type Report struct {
	N      int64  `json:"n"`
	Role   string `json:"role"`
	Kernel string `json:"kernel"` // release, or "" where the host does not show it

	// Capacity is the number of connections that the host holds as it stands, and FirstLimit the id of the check that
	// bounds it. Both are nil when no check that could be made sets a bound.
	Capacity   *int64  `json:"capacity"`
	FirstLimit *string `json:"first_limit"`

	Checks []Finding `json:"checks"`
}

// Run makes every check.
func Run(h *Host, t Target) Report {
	r := Report{N: t.N, Role: RoleServer, Checks: make([]Finding, 0, len(checks))}
	if release, err := h.text("proc/sys/kernel/osrelease"); err == nil {
		r.Kernel = release
	}
	for _, c := range checks {
		f, err := c.run(h, t)
		if err != nil {
			f = Finding{Outcome: Skip, Why: skipReason(err)}
		}
		f.ID, f.Group = c.ID, c.Group
		if f.Holds != nil && (r.Capacity == nil || *f.Holds < *r.Capacity) {
			r.Capacity, r.FirstLimit = f.Holds, &f.ID
		}
		r.Checks = append(r.Checks, f)
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
func skipReason(err error) string {
	var path *fs.PathError
	switch {
	case errors.As(err, &path) && errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("/%s is not visible here, as in a container; check on the host itself", path.Path)
	case errors.As(err, &path) && errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("/%s may not be read by this user; check as root, or on the host itself", path.Path)
	}
	return err.Error()
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

// withSysctl adds the remedies for a kernel setting, unless all is well.
func (f Finding) withSysctl(key string) Finding {
	if f.Outcome == OK {
		return f
	}
	f.FixNow = fmt.Sprintf("sysctl -w %s=%s", key, f.Wanted)
	f.FixForGood = fmt.Sprintf("echo '%s = %s' \\\n  >> /etc/sysctl.d/90-holdfast.conf", key, f.Wanted)
	return f
}

// number prints n, the highest of all as "unlimited".
func number(n int64) string {
	if n == math.MaxInt64 {
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}
