package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Detach gives the socket and its lock up without ending them: both stay at their paths, and a
// client that connects waits for the next server. The files are the caller's, for Attach in this
// process or in another that they are sent to. l is closed then. After an error it is as before.
func (l *Listener) Detach() (socket, held *os.File, err error) {
	if !l.inPlace() {
		return nil, nil, fmt.Errorf("detach control socket: %s is another file now", l.path)
	}
	if socket, err = l.File(); err != nil {
		return nil, nil, fmt.Errorf("detach control socket %s: %w", l.path, err)
	}
	l.once.Do(func() {
		held = l.lock.file
		l.err = l.UnixListener.Close()
	})
	if held == nil {
		socket.Close()
		return nil, nil, fmt.Errorf("detach control socket %s: %w", l.path, net.ErrClosed)
	}
	return socket, held, nil
}

// Attach makes a Listener of what Detach gave up. path is what Listen was called with. The Listener
// owns the socket, its path and the lock as if Listen had made them. After an error the files are
// still the caller's.
func Attach(path string, socket, held *os.File) (l *Listener, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("attach control socket %s: %w", path, err)
		}
	}()
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	lk := &lock{file: held, path: path + ".lock"}
	if !stillAt(held, lk.path) {
		return nil, fmt.Errorf("%s is not the lock that was handed over", lk.path)
	}
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", lk.path, err)
	}
	if lk.socket, err = os.Lstat(path); err != nil {
		return nil, err
	}
	if lk.socket.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("it is not a socket (mode %v)", lk.socket.Mode())
	}
	ln, err := net.FileListener(socket)
	if err != nil {
		return nil, err
	}
	unixListener, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is not a Unix socket", ln.Addr()), ln.Close())
	}
	if err := writePID(held); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	socket.Close() // ln has a descriptor of its own
	return &Listener{UnixListener: unixListener, path: path, lock: lk}, nil
}
