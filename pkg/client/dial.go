package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/pkg/wire"
)

// helloTimeout bounds connecting and the exchange of hellos when the context has no deadline.
const helloTimeout = 5 * time.Second

// Options is what Dial may be told. The zero value will do.
type Options struct {
	Program string    // name and version of the program, for the server; "" means "client"
	Role    wire.Role // "" means wire.RoleControl
}

// DialError says that no pushd answers: which paths were tried and what is there. A program that gets one ends with
// exit code 3.
type DialError struct {
	Tried []Attempt
}

// Attempt is one path that was tried.
type Attempt struct {
	Path  string
	Owner string      // user that owns what is at Path; "" when that cannot be told
	Group string      // that owns it
	Mode  fs.FileMode // of what is at Path; 0 when that cannot be told
	Err   error       // why it did not do
}

// Error lists the paths, one a line, and ends with the remedy.
func (e *DialError) Error() string {
	var s strings.Builder
	s.WriteString("no pushd answers on a control socket")
	for _, a := range e.Tried {
		fmt.Fprintf(&s, "\n  %s", a)
	}
	s.WriteString("\n" + e.remedy())
	return s.String()
}

// remedy is what to do about it.
func (e *DialError) remedy() string {
	for _, a := range e.Tried {
		switch {
		case errors.As(a.Err, new(*pathError)):
			return "name the path of a socket with --socket or PUSHD_SOCKET"
		case errors.Is(a.Err, fs.ErrPermission):
			return fmt.Sprintf("become a member of the group %s, or have pushd started with --socket-group or --socket-mode for you", a.Group)
		case errors.Is(a.Err, context.DeadlineExceeded):
			return "something holds " + a.Path + " and does not answer: is that pushd stopped or overloaded?"
		}
	}
	return "start pushd, or name its socket with --socket"
}

// Unwrap gives the errors of all attempts.
func (e *DialError) Unwrap() []error {
	errs := make([]error, len(e.Tried))
	for i, a := range e.Tried {
		errs[i] = a.Err
	}
	return errs
}

// pathError says that there can be no socket at a path.
type pathError struct{ err error }

func (e *pathError) Error() string { return e.err.Error() }

// String is the path, its owner and mode when it is there, and what was wrong.
func (a Attempt) String() string {
	what := ""
	if a.Mode != 0 {
		what = fmt.Sprintf(" (owner %s, group %s, mode %04o)", a.Owner, a.Group, a.Mode.Perm())
	}
	return fmt.Sprintf("%s%s: %v", a.Path, what, reason(a.Err))
}

// reason leaves out what an Attempt says anyway: the operation and the path.
func reason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}

// Dial connects to the control socket at path, or to the first of wire.SocketPaths that answers when path is "".
//
// The error is a *DialError when no pushd is there. When one is there and refuses, it is a *wire.Error, wrapped.
// ctx bounds the dialling only.
func Dial(ctx context.Context, path string, o Options) (*Conn, error) {
	paths := []string{path}
	if path == "" {
		paths = wire.SocketPaths(os.Getenv, os.Getuid(), os.TempDir())
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, helloTimeout)
		defer cancel()
	}
	failed := &DialError{}
	for _, p := range paths {
		c, err := dial(ctx, p, o)
		if err == nil {
			return c, nil
		}
		if _, refused := errors.AsType[*wire.Error](err); refused {
			return nil, fmt.Errorf("pushd on %s: %w", p, err)
		}
		if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
			return nil, fmt.Errorf("dial %s: %w", p, ctx.Err())
		}
		failed.Tried = append(failed.Tried, attempt(p, err))
	}
	return nil, failed
}

// attempt describes what is at path, and why it did not do.
func attempt(path string, err error) Attempt {
	a := Attempt{Path: path, Err: err}
	info, statErr := os.Lstat(path)
	if statErr != nil {
		return a
	}
	a.Mode = info.Mode()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		a.Owner = strconv.Itoa(int(st.Uid))
		if u, err := user.LookupId(a.Owner); err == nil {
			a.Owner = u.Username
		}
		a.Group = strconv.Itoa(int(st.Gid))
		if g, err := user.LookupGroupId(a.Group); err == nil {
			a.Group = g.Name
		}
	}
	return a
}

// dial connects to one path and exchanges hellos.
func dial(ctx context.Context, path string, o Options) (*Conn, error) {
	if err := wire.CheckSocketPath(path); err != nil {
		return nil, &pathError{err}
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	c, err := hello(nc, o)
	if !stop() { // ctx ended, the socket is closed
		return nil, fmt.Errorf("no hello from the server: %w", ctx.Err())
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	c.start()
	return c, nil
}

func hello(nc net.Conn, o Options) (*Conn, error) {
	ours := wire.Hello{Version: wire.Version, Program: o.Program, Role: o.Role}
	if ours.Program == "" {
		ours.Program = "client"
	}
	if ours.Role == "" {
		ours.Role = wire.RoleControl
	}
	_, writeErr := nc.Write(wire.AppendHello(nil, &ours)) // a server that refuses may have closed; read why
	frames := wire.NewReader(nc, wire.MaxFrame)
	theirs, err := wire.ReadHello(frames)
	refusal, refused := errors.AsType[*wire.Error](err)
	switch {
	case refused && (refusal.Code == wire.BadHello || refusal.Code == wire.BadFrame || refusal.Code == wire.FrameTooLarge):
		return nil, fmt.Errorf("what answers is not a pushd: %s", refusal.Text)
	case refused:
		return nil, refusal
	case err != nil && writeErr != nil:
		return nil, fmt.Errorf("send hello: %w", writeErr)
	case err != nil:
		return nil, fmt.Errorf("read hello: %w", err)
	case theirs.Version != wire.Version:
		return nil, wire.Errorf(wire.VersionUnsupported, "the server speaks %d, this program %d", theirs.Version, wire.Version)
	}
	if theirs.MaxFrame <= 0 {
		theirs.MaxFrame = wire.MaxFrame
	}
	return newConn(nc, frames, theirs), nil
}
