package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/client"
	"holdfast/pkg/stats"
	"holdfast/pkg/sysprep"
	"holdfast/pkg/version"
	"holdfast/pkg/wire"
)

// askTimeout bounds the question to a pushd.
const askTimeout = 2 * time.Second

// targetOptions say what the host shall carry, and where to look. Their zero value is the default, but for root.
type targetOptions struct {
	n        int64
	role     sysprep.Role
	workers  int
	rate     int64
	msgBytes app.Size
	sources  int
	dests    int
	ports    int
	pid      int
	unit     string
	root     string
	socket   string
	noPushd  bool
}

// connections is the value of -n and --rate.
type connections int64

// Set reads what people say for a number of connections.
func (n *connections) Set(s string) error {
	v, err := sysprep.ParseN(s)
	if err != nil {
		return err
	}
	*n = connections(v)
	return nil
}

// String is empty for a number that was not given.
func (n *connections) String() string {
	if *n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*n), 10)
}

// roleValue is the value of --role.
type roleValue sysprep.Role

// Set reads the name of a role.
func (r *roleValue) Set(s string) error {
	role, err := sysprep.ParseRole(s)
	if err != nil {
		return err
	}
	*r = roleValue(role)
	return nil
}

// String is the role's name.
func (r *roleValue) String() string { return string(*r) }

// targetFlags are the options of every command that reckons with a target.
func targetFlags(o *targetOptions) []cli.Flag {
	o.role, o.root = sysprep.RoleServer, "/"
	const target, where = "The target", "Where to look"
	return []cli.Flag{
		&cli.GenericFlag{Name: "n", Category: target, Value: (*connections)(&o.n),
			Usage: "hold `N` connections at the same time, such as 15000, 250k or 1M"},
		&cli.GenericFlag{Name: "role", Category: target, Value: (*roleValue)(&o.role),
			Usage: "what this host does with them: `ROLE` is server, loadgen, or both for a test over loopback"},
		&cli.IntFlag{Name: "workers", Category: target, Destination: &o.workers, Value: 1, Usage: "they are shared by `W` processes"},
		&cli.GenericFlag{Name: "rate", Category: target, Value: (*connections)(&o.rate), DefaultText: "N/60",
			Usage: "new connections a second at the peak: `R`"},
		&cli.GenericFlag{Name: "msg-bytes", Category: target, Value: &o.msgBytes, DefaultText: strconv.Itoa(sysprep.DefaultMsgBytes),
			Usage: "size of a message to everybody, with its framing, in `BYTES`"},
		&cli.IntFlag{Name: "sources", Category: target, Destination: &o.sources, Value: 1, Usage: "a load generator connects from `S` addresses"},
		&cli.IntFlag{Name: "destinations", Category: target, Destination: &o.dests, Value: 1, Usage: "to `D` addresses"},
		&cli.IntFlag{Name: "ports", Category: target, Destination: &o.ports, Value: 1, Usage: "and `L` ports of each"},
		&cli.IntFlag{Name: "pid", Category: where, Destination: &o.pid, Usage: "judge the limits of process `PID` instead of those of this shell"},
		&cli.StringFlag{Name: "unit", Category: where, Destination: &o.unit, Usage: "judge the limits of the systemd unit `UNIT`, such as pushd.service"},
		&cli.StringFlag{Name: "socket", Category: where, Destination: &o.socket, EnvVars: []string{"PUSHD_SOCKET"},
			DefaultText: "the usual places", Usage: "ask the pushd with the control socket at `PATH`"},
		&cli.BoolFlag{Name: "no-pushd", Category: where, Destination: &o.noPushd, Usage: "ask no pushd, and reckon with assumptions"},
		&cli.StringFlag{Name: "root", Category: where, Destination: &o.root, Value: "/",
			Usage: "read proc, sys and etc below `DIR`, such as the copy of another host's; no pushd is asked then"},
	}
}

// maxMsgBytes is the largest message to everybody that is reckoned with; pushd takes a quarter of it.
const maxMsgBytes = 1 << 30

// validate checks what the flags cannot check by themselves.
func (o *targetOptions) validate(c *cli.Context) error {
	const many, ports = 1_000_000, 65_535
	for _, f := range []struct {
		name        string
		value, most int
	}{{"workers", o.workers, many}, {"sources", o.sources, many}, {"destinations", o.dests, many}, {"ports", o.ports, ports}} {
		if f.value < 1 || f.value > f.most {
			return app.Usagef("-%s: %d is out of range, 1 to %d", "-"+f.name, f.value, f.most)
		}
	}
	switch {
	case app.Given(c, "pid") && o.pid < 1:
		return app.Usagef("--pid: %d is no process", o.pid)
	case app.Given(c, "unit") && !sysprep.ValidUnit(o.unit):
		return app.Usagef("--unit: %q is no unit, such as pushd.service", o.unit)
	case o.pid != 0 && o.unit != "":
		return app.Usagef("--pid and --unit: give one of them")
	case o.msgBytes < 0 || o.msgBytes > maxMsgBytes:
		return app.Usagef("--msg-bytes: %d is out of range, 1 to %d", int64(o.msgBytes), maxMsgBytes)
	case o.socket != "" && o.noPushd && app.Given(c, "socket"):
		return app.Usagef("--socket and --no-pushd: give one of them")
	}
	if o.unit != "" && !strings.Contains(o.unit, ".") {
		o.unit += ".service"
	}
	return nil
}

// noArguments refuses arguments.
func noArguments(c *cli.Context) error {
	if c.NArg() > 0 {
		return app.Usagef("unexpected argument %q", c.Args().First())
	}
	return nil
}

// needN says that -n is missing.
func (o *targetOptions) needN() error {
	if o.n == 0 {
		return app.Usagef("option -n is missing: for how many connections?")
	}
	return nil
}

// open opens the host below the root.
func (o *targetOptions) open() (*sysprep.Host, error) {
	h, err := sysprep.Open(o.root)
	if err != nil {
		return nil, app.Exit(app.NotThere, fmt.Errorf("cannot check: there is no proc directory below %q", o.root))
	}
	return h, nil
}

// resolve finds the process that is judged and asks a pushd. remark is what a reader should know about it, or "".
func (o *targetOptions) resolve(ctx context.Context, h *sysprep.Host, given bool) (t sysprep.Target, remark string, err error) {
	t = sysprep.Target{N: max(1, o.n), Role: o.role, Workers: o.workers, Rate: o.rate, MsgBytes: int64(o.msgBytes),
		Sources: o.sources, Destinations: o.dests, Ports: o.ports, PID: o.pid, Unit: o.unit}
	switch {
	case o.pid != 0 && !h.HasProcess(o.pid):
		return t, "", app.Exit(app.NotThere, fmt.Errorf("cannot check: there is no process %d", o.pid))
	case o.pid != 0:
		t.Unit = h.UnitOf(o.pid)
	case o.unit != "":
		pid, err := h.MainPID(o.unit)
		if errors.Is(err, sysprep.ErrNoUnit) {
			return t, "", app.Exit(app.NotThere, fmt.Errorf("cannot check: %w", err))
		}
		if err != nil {
			remark = err.Error()
		}
		t.PID = pid
	}
	if o.noPushd || !h.Live() || o.role == sysprep.RoleLoadgen {
		return t, remark, nil
	}
	snap, err := o.ask(ctx)
	if err != nil {
		if given {
			return t, "", app.Exit(app.NotThere, err)
		}
		return t, remark, nil
	}
	t.Pushd = pushd(snap)
	if t.PID == 0 && o.unit == "" && h.HasProcess(snap.PID) {
		t.PID, t.Unit = snap.PID, h.UnitOf(snap.PID)
	}
	return t, remark, nil
}

// ask asks the pushd of the control socket for its statistics.
func (o *targetOptions) ask(ctx context.Context) (*stats.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := client.Dial(ctx, o.socket, client.Options{Program: "sysprep " + version.String(), Role: wire.RoleStats})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.Stats(ctx)
}

// enoughToTell is how many connections a pushd must hold before its memory can be put down to them.
const enoughToTell = 10_000

// pushd is what a snapshot tells for the formulas.
func pushd(s *stats.Snapshot) *sysprep.Pushd {
	p := &sysprep.Pushd{PID: s.PID, Loops: len(s.Loops), Connections: int64(s.Connections.Total), MaxConnections: int64(s.Limits.MaxConnections)}
	if s.Connections.Total >= enoughToTell {
		p.UserBytes = max(1, (s.RSSAnonBytes-s.QueuedBytes-sysprep.UserBaseBytes)/int64(s.Connections.Total))
	}
	return p
}
