package netloop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	backlog     = 65535 // the kernel takes the smaller of this and net.core.somaxconn
	userTimeout = 60 * time.Second
	sendBuffer  = 256 << 10 // bytes: of an autotuned one, a client that does not read could fill 3.9 MB of kernel memory
)

// Bind opens n listening sockets that share one address, one for each loop: SO_REUSEPORT spreads the connections over
// them. With port 0 the kernel chooses. Where another process listens already that is an error, unless share says
// that the port is to be shared with it. An address without a host means all, of both families where there are both.
func Bind(addr string, n int, share bool) (fds []int, bound netip.AddrPort, err error) {
	ap, err := resolve(addr)
	if err != nil {
		return nil, bound, err
	}
	if !share {
		if err := probe(ap); err != nil {
			return nil, bound, fmt.Errorf("listen on %s: %w", addr, err)
		}
	}
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			err = fmt.Errorf("listen on %s: %w", addr, err)
		}
	}()
	for range n {
		fd, err := listenSocket(ap, true)
		if err != nil {
			return fds, bound, err
		}
		fds = append(fds, fd)
		if bound, err = localAddr(fd); err != nil {
			return fds, bound, err
		}
		ap = netip.AddrPortFrom(ap.Addr(), bound.Port())
	}
	return fds, bound, nil
}

// probe reports an error when somebody listens on ap: a socket with SO_REUSEPORT would silently take half of the
// other's clients.
func probe(ap netip.AddrPort) error {
	if ap.Port() == 0 {
		return nil
	}
	fd, err := listenSocket(ap, false)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func resolve(addr string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen address %q: %w", addr, err)
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen address %q: port %q is not a number up to 65535", addr, port)
	}
	if host == "" {
		any := netip.IPv6Unspecified()
		if fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			any = netip.IPv4Unspecified()
		} else {
			unix.Close(fd)
		}
		return netip.AddrPortFrom(any, uint16(p)), nil
	}
	t, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen address %q: %w", addr, err)
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

func listenSocket(ap netip.AddrPort, reusePort bool) (fd int, err error) {
	family, sa := sockaddr(ap)
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP); err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	set := func(level, name, value int) {
		err = errors.Join(err, unix.SetsockoptInt(fd, level, name, value))
	}
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if reusePort {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	err = errors.Join(err, setInherited(fd))
	if family == unix.AF_INET6 && ap.Addr().IsUnspecified() {
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0) // both families, whatever net.ipv6.bindv6only says
	}
	if err != nil {
		return fd, fmt.Errorf("set socket options: %w", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return fd, err
	}
	return fd, unix.Listen(fd, backlog)
}

// setInherited sets the options of a listening socket that those accepted from it inherit, so that accepting costs no
// further call.
func setInherited(fd int) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())),
	)
}

// sockaddr returns ap as the kernel takes it, and its address family.
func sockaddr(ap netip.AddrPort) (family int, sa unix.Sockaddr) {
	if ap.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

func localAddr(fd int) (netip.AddrPort, error) {
	ap, errno := sockName(unix.SYS_GETSOCKNAME, fd)
	if errno != 0 {
		return ap, fmt.Errorf("read socket address: %w", errno)
	}
	return ap, nil
}
