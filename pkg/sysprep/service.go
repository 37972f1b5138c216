package sysprep

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var serviceChecks = []Check{
	{ID: "pushd.max_connections", Group: GroupService, run: checkMaxConnections, Explain: "" +
		"What the running pushd accepts at most: --max-connections, or what its open files allowed when it started. Beyond it " +
		"clients are answered 503. Checked when a pushd answers on the control socket."},
	{ID: "systemd.LimitNOFILE", Group: GroupService, run: checkUnitNofile, Explain: "" +
		"RLIMIT_NOFILE that systemd gives the unit at its start. limits.conf and ulimit do not reach a service. systemd cuts it " +
		"to fs.nr_open without a word. Checked with --unit, or for the unit of the pushd that answers."},
	{ID: "systemd.TasksMax", Group: GroupService, run: checkUnitTasks, Explain: "" +
		"The number of threads of the unit. pushd has a few for each CPU, whatever the number of connections."},
	{ID: "systemd.TimeoutStopSec", Group: GroupService, run: checkUnitStop, Explain: "" +
		"How long systemd waits at a stop before it kills. pushd spreads the ends of its connections over --drain-timeout (10 s) " +
		"and needs a little more to close them all; a million closed sockets take the kernel seconds."},
	{ID: "systemd.DefaultLimitNOFILE", Group: GroupService, run: checkDefaultNofile, Explain: "" +
		"What units without a LimitNOFILE of their own get. It matters for a pushd that runs as part of another unit, or below " +
		"a container daemon; a LimitNOFILE in pushd's own unit is better."},
	{ID: "container.nofile", Group: GroupService, run: checkContainerNofile, Explain: "" +
		"A container gets the open files that its runtime gives it: those of the daemon, unless --ulimit nofile= or the " +
		"default-ulimits of daemon.json say otherwise. What the host's limits.conf says does not count."},
	{ID: "cgroup.pids", Group: GroupService, run: checkCgroupPids, Explain: "" +
		"A control group's limit on threads. The Go runtime dies when it cannot make one. pushd needs a few for each CPU."},
	{ID: "kernel.pid_max", Group: GroupService, run: threadsCheck("kernel.pid_max"), Explain: "" +
		"The highest number of a process or thread. pushd needs a few threads for each CPU, whatever the number of connections."},
	{ID: "kernel.threads-max", Group: GroupService, run: threadsCheck("kernel.threads-max"), Explain: "" +
		"The number of threads of the machine. pushd needs a few for each CPU, whatever the number of connections."},
}

func checkMaxConnections(_ *Host, t Target) (Finding, error) {
	switch {
	case t.Pushd == nil:
		return Finding{}, errors.New("no pushd was asked")
	case t.Pushd.MaxConnections == 0:
		return Finding{}, errors.New("the pushd that answers does not say its --max-connections")
	}
	n := t.perProcess()
	f := atLeast(t.Pushd.MaxConnections, n, n)
	f.Holds = holds(t.Pushd.MaxConnections, func(n int64) int64 { return t.with(n).perProcess() })
	f.Formula = fmt.Sprintf("%s = %d", t.perProcessFormula(), n)
	f.Why = fmt.Sprintf("pushd (process %d) turns clients away beyond it; it has %d now.", t.Pushd.PID, t.Pushd.Connections)
	return f.withText("not while it runs", fmt.Sprintf("start pushd with --max-connections %d", n)), nil
}

// threadsNeeded is what the processes may take: their loops, and the Go runtime's own with room.
func (h *Host) threadsNeeded(t Target) int64 {
	return t.workers() * (int64(max(1, h.process().cpus)) + 64)
}

func threadsCheck(key string) func(*Host, Target) (Finding, error) {
	return func(h *Host, t Target) (Finding, error) {
		current, err := h.sysctl(key)
		if err != nil {
			return Finding{}, err
		}
		f := fine(number(current), "")
		if want := h.threadsNeeded(t); current < want {
			f.Note = fmt.Sprintf("%d processes with their threads may take %d; the Go runtime dies when it cannot start one", t.workers(), want)
		}
		return f, nil
	}
}

func (h *Host) judgeThreads(current int64, t Target) Finding {
	want := h.threadsNeeded(t)
	f := atLeast(current, want, want)
	f.Formula = fmt.Sprintf("%d processes*(%d CPUs + 64) = %d", t.workers(), max(1, h.process().cpus), want)
	f.Why = "The Go runtime dies when it cannot start a thread."
	return f
}

func checkCgroupPids(h *Host, t Target) (Finding, error) {
	if t.Unit != "" && t.PID == 0 {
		return Finding{}, fmt.Errorf("%.80q has no process to look at; systemd.TasksMax is what it starts with", t.Unit)
	}
	limit, file, err := h.groupLimit(t, pidsController)
	if err != nil {
		return Finding{}, err
	}
	if file == "" {
		if _, err := h.text(t.procDir() + "/cgroup"); err != nil {
			return Finding{}, err
		}
		return fine("unlimited", ""), nil
	}
	f := h.judgeThreads(limit, t)
	if t.Unit != "" {
		return f.withDirective(t.Unit, "TasksMax", f.Wanted, number(limit)), nil
	}
	return f.withText(fmt.Sprintf("echo %s > %s", f.Wanted, file),
		fmt.Sprintf("set TasksMax=%s in the unit,\nor --pids-limit of the container to that", f.Wanted)), nil
}

// unitProperty is a property of the target's unit. Without a unit it is skipped.
func (h *Host) unitProperty(t Target, name string) (string, error) {
	if t.Unit == "" {
		return "", fmt.Errorf("no unit is named; --unit %s checks it", DefaultUnit)
	}
	properties, err := h.systemd(t.Unit)
	if err != nil {
		return "", err
	}
	if properties["LoadState"] == "not-found" {
		return "", fmt.Errorf("systemd has no unit %.80q", t.Unit)
	}
	value, ok := properties[name]
	if !ok || value == "" {
		return "", fmt.Errorf("systemd does not show %s of %.80q", name, t.Unit)
	}
	return value, nil
}

// parseUnitLimit reads a number of systemd, which says infinity for none.
func parseUnitLimit(name, s string) (int64, error) {
	if s == "infinity" || s == strconv.FormatUint(math.MaxUint64, 10) {
		return math.MaxInt64, nil
	}
	n, err := parseLimit(s)
	if err != nil {
		return 0, fmt.Errorf("%s cannot be judged: %w", name, err)
	}
	return n, nil
}

func checkUnitNofile(h *Host, t Target) (Finding, error) {
	s, err := h.unitProperty(t, "LimitNOFILE") // the hard limit
	if err != nil {
		return Finding{}, err
	}
	current, err := parseUnitLimit("LimitNOFILE", s)
	if err != nil {
		return Finding{}, err
	}
	want := fdsNeeded(t.perProcess())
	f := atLeast(current, want, want)
	f.Holds = holds(current, func(n int64) int64 { return fdsNeeded(t.with(n).perProcess()) })
	f.Formula = fmt.Sprintf("%s*1.02 + 1024 = %d", t.perProcessFormula(), want)
	f.Why = "The unit starts with this number of open files, and each connection is one."
	if nrOpen, err := h.sysctl("fs.nr_open"); err == nil && current == math.MaxInt64 && nrOpen < want {
		f.Note = "infinity means fs.nr_open here"
	}
	f = f.withDirective(t.Unit, "LimitNOFILE", f.Wanted, s)
	if f.Outcome != OK {
		f.FixNow = "not while it runs; restart it with what is below"
	}
	return f, nil
}

func checkUnitTasks(h *Host, t Target) (Finding, error) {
	s, err := h.unitProperty(t, "TasksMax")
	if err != nil {
		return Finding{}, err
	}
	current, err := parseUnitLimit("TasksMax", s)
	if err != nil {
		return Finding{}, err
	}
	f := h.judgeThreads(current, t).withDirective(t.Unit, "TasksMax", number(h.threadsNeeded(t)), s)
	if f.Outcome != OK {
		f.FixNow = fmt.Sprintf("systemctl set-property --runtime %s TasksMax=%s", shellWord(t.Unit), f.Wanted)
	}
	return f, nil
}

// The time that a stop takes: pushd's own drain, and what is left for closing.
const (
	drain      = 10 * time.Second
	stopMargin = 60 * time.Second
)

func checkUnitStop(h *Host, t Target) (Finding, error) {
	s, err := h.unitProperty(t, "TimeoutStopUSec")
	if err != nil {
		return Finding{}, err
	}
	current, ok := parseTimespan(s)
	if !ok {
		return Finding{}, fmt.Errorf("TimeoutStopSec cannot be judged: %.40q is no time", s)
	}
	margin := stopMargin
	if t.N < 100_000 {
		margin = drain // few sockets are closed at once
	}
	want := drain + margin
	f := Finding{Outcome: OK, Current: s, Wanted: fmt.Sprintf("%ds", int(want.Seconds()))}
	f.Formula = fmt.Sprintf("drain of %v + %v = %s", drain, margin, f.Wanted)
	f.Why = "systemd kills pushd before all of its connections have been closed in order."
	if current < want {
		f.Outcome = Warn
	}
	f = f.withDirective(t.Unit, "TimeoutStopSec", f.Wanted, s)
	if f.Outcome != OK {
		f.FixNow = "not while it runs; it counts from the next stop, after\nwhat is below"
	}
	return f, nil
}

// parseTimespan reads a time as systemctl shows it: "1min 30s", "10s", "500ms", "infinity".
func parseTimespan(s string) (time.Duration, bool) {
	if s == "infinity" {
		return math.MaxInt64, true
	}
	units := []struct {
		suffix string
		d      time.Duration
	}{{"min", time.Minute}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"w", 168 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"s", time.Second}}
	total, fields := time.Duration(0), strings.Fields(s)
	for _, f := range fields {
		found := false
		for _, u := range units {
			digits, ok := strings.CutSuffix(f, u.suffix)
			if !ok {
				continue
			}
			n, err := strconv.ParseFloat(digits, 64)
			if err != nil || !(n >= 0 && n <= float64(math.MaxInt64/u.d)/2) { // NaN is no time either
				return 0, false
			}
			total, found = total+time.Duration(n*float64(u.d)), true
			break
		}
		if !found || total < 0 {
			return 0, false
		}
	}
	return total, len(fields) > 0
}

func checkDefaultNofile(h *Host, t Target) (Finding, error) {
	if t.Unit != "" {
		if _, err := h.unitProperty(t, "LimitNOFILE"); err == nil {
			return fine("not used", ""), nil // the unit has its own check
		}
	}
	properties, err := h.systemd("")
	if err != nil {
		return Finding{}, err
	}
	current, err := parseUnitLimit("DefaultLimitNOFILE", properties["DefaultLimitNOFILE"])
	if err != nil {
		return Finding{}, err
	}
	f := fine(number(current), "")
	if want := fdsNeeded(t.perProcess()); current < want {
		f.Note = fmt.Sprintf("a unit for pushd needs LimitNOFILE=%d of its own", want)
	}
	return f, nil
}

func checkContainerNofile(h *Host, t Target) (Finding, error) {
	runtime := "container"
	if h.Container() == "" {
		if !h.exists("proc/self") && !h.exists("run") {
			return Finding{}, errors.New("neither /proc/self nor /run is visible here, so nothing shows whether there are containers")
		}
		pid, name := h.containerDaemon()
		if pid == 0 {
			return fine("no containers", ""), nil
		}
		runtime, t.PID = name, pid
	}
	limit, err := h.openFiles(t)
	if err != nil {
		return Finding{}, err
	}
	want := fdsNeeded(t.perProcess())
	f := atLeast(limit.hard, 0, want)
	f.Formula = fmt.Sprintf("%s*1.02 + 1024 = %d", t.perProcessFormula(), want)
	f.Why = "A pushd in a container gets the open files of its runtime unless the container says otherwise."
	if runtime != "container" && f.Outcome != OK {
		return fine(f.Current, fmt.Sprintf("of %s; a container for pushd needs --ulimit nofile=%d:%d", runtime, want, want)), nil
	}
	ulimit := fmt.Sprintf("--ulimit nofile=%d:%d", want, want)
	return f.withText("start the container anew, such as with\ndocker run "+ulimit,
		"the same in the compose file or unit that starts it\n(ulimits: nofile), or default-ulimits in daemon.json"), nil
}

// containerDaemon finds a daemon that starts containers, by the file with its process's number.
func (h *Host) containerDaemon() (pid int, name string) {
	for _, d := range []struct{ file, name string }{
		{"run/docker.pid", "dockerd"}, {"var/run/docker.pid", "dockerd"}, {"run/containerd/containerd.pid", "containerd"},
	} {
		s, err := h.text(d.file)
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(s); err == nil && n > 0 && h.HasProcess(n) {
			return n, d.name
		}
	}
	return 0, ""
}
