package server

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// sockets is what a pushd listens on, detached from it for the next one. A field is nil or empty
// where there is no such socket.
type sockets struct {
	clients []*os.File // of each address as many as there were loops
	adopted []*os.File // client listeners of a service manager, of each address one
	control *os.File
	lock    *os.File // of control; nil: a service manager made the socket
	publish *os.File
	metrics *os.File
}

// quiesce has pushd take no new clients and nothing more to publish. Connections are served on.
// It is called once, and before Shutdown; detach is what follows.
func (s *Server) quiesce() error { return s.parts.quiesce() }

// detach has pushd give up its sockets, which then are the caller's. Connections are served on, and
// Shutdown ends them; it leaves the sockets alone.
func (s *Server) detach() (*sockets, error) {
	k := new(sockets)
	if err := s.parts.detach(k); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// options returns o with k in place of what o would listen on.
func (k *sockets) options(o Options) Options {
	o.Listen, o.ListenFiles, o.ownFiles = nil, k.adopted, k.clients
	o.SocketFile, o.socketLock = k.control, k.lock
	o.PublishFile, o.MetricsFile = k.publish, k.metrics
	return o
}

// close closes the sockets that nobody has taken.
func (k *sockets) close() {
	all := append([]*os.File{k.control, k.lock, k.publish, k.metrics}, k.clients...)
	for _, f := range append(all, k.adopted...) {
		f.Close() // nil and closed ones refuse
	}
	*k = sockets{}
}

// bound is the listening sockets of one address of clients.
type bound struct {
	addr    netip.AddrPort
	fds     []int
	adopted bool // they are one socket, which a service manager has opened
}

// close closes sockets that no loop has.
func (b *bound) close() {
	for _, fd := range b.fds {
		unix.Close(fd)
	}
}

// keep adds descriptors of their own of the sockets to k.
func (b *bound) keep(k *sockets) error {
	for _, fd := range b.fds {
		dup, addr, err := duplicate(fd)
		if err == nil && addr != b.addr { // a loop that failed has closed it
			err = errors.Join(errors.New("the loop has closed it"), unix.Close(dup))
		}
		if err != nil {
			return fmt.Errorf("keep listener on %s: %w", b.addr, err)
		}
		f := os.NewFile(uintptr(dup), "listener on "+b.addr.String())
		if b.adopted {
			k.adopted = append(k.adopted, f)
			return nil
		}
		k.clients = append(k.clients, f)
	}
	return nil
}

// groupByAddress takes the sockets from files, which it closes, and puts those of one address
// together.
func groupByAddress(files []*os.File) (groups []*bound, err error) {
	byAddr := make(map[netip.AddrPort]*bound)
	for _, f := range files {
		fd, addr, err := duplicate(int(f.Fd()))
		if err != nil {
			for _, b := range groups {
				b.close()
			}
			return nil, fmt.Errorf("take over %s: %w", f.Name(), err)
		}
		b := byAddr[addr]
		if b == nil {
			b = &bound{addr: addr}
			byAddr[addr], groups = b, append(groups, b)
		}
		b.fds = append(b.fds, fd)
	}
	for _, f := range files {
		f.Close()
	}
	return groups, nil
}

// duplicate returns another descriptor of a listening socket, and its address.
func duplicate(fd int) (dup int, addr netip.AddrPort, err error) {
	if dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		return -1, addr, err
	}
	if addr, err = listensOn(dup); err == nil {
		err = unix.SetNonblock(dup, true)
	}
	if err != nil {
		unix.Close(dup)
		return -1, addr, err
	}
	return dup, addr, nil
}

// listensOn returns the address on which a socket listens.
func listensOn(fd int) (netip.AddrPort, error) {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if listens == 0 {
		return netip.AddrPort{}, errors.New("the socket does not listen")
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), uint16(name.Port)), nil
	}
	return netip.AddrPort{}, errors.New("the socket is of neither IPv4 nor IPv6")
}
