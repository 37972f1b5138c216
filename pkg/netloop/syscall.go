package netloop

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file cannot block: the sockets are non-blocking, or a flag or a timeout of 0 says so. They go to
// the kernel without telling the scheduler (RawSyscall), which halves the cost of a small send. The price is that the
// goroutine cannot be preempted inside of them, so loops that make many of them yield from time to time (sendsPerYield).

// sendsPerYield is how many sends a loop makes before it lets other goroutines run: a tight loop of raw calls was seen
// to stall others for 1.1 s.
const sendsPerYield = 64

func accept(fd int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// read fills b, which is not empty, from fd.
func read(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

// send writes b, which is not empty, to the socket fd.
func send(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// ready takes what is ready in the epoll set fd, without waiting.
func ready(fd int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// unread returns the number of bytes that wait to be read from the socket fd.
func unread(fd int) int {
	n := int32(0)
	unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCINQ, uintptr(unsafe.Pointer(&n)))
	return int(n)
}

// forget takes fd out of an epoll set.
func forget(set, fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL,
		uintptr(set), unix.EPOLL_CTL_DEL, uintptr(fd), 0, 0, 0)
	return errno
}

// ring adds 1 to the eventfd fd, which is non-blocking.
func ring(fd int) {
	one := uint64(1)
	unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
}

// silence reads the counter of an eventfd or a timerfd, which are non-blocking.
func silence(fd int) {
	var n uint64
	unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&n)), 8)
}

// sockName makes the call getpeername or getsockname. Unlike the unix package's it allocates nothing. The address is the
// zero AddrPort when it is not one of IPv4 or IPv6; zones are left out, and an IPv4-mapped address becomes IPv4.
func sockName(call uintptr, fd int) (netip.AddrPort, unix.Errno) {
	var sa [unix.SizeofSockaddrInet6]byte // the larger of the two; the rest of a longer address is cut off
	size := uint32(len(sa))
	if _, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}, errno
	}
	var addr netip.Addr
	switch binary.NativeEndian.Uint16(sa[:]) {
	case unix.AF_INET: // sockaddr_in: family, port, address
		addr = netip.AddrFrom4([4]byte(sa[4:8]))
	case unix.AF_INET6: // sockaddr_in6: family, port, flow, address, scope
		addr = netip.AddrFrom16([16]byte(sa[8:24])).Unmap()
	default:
		return netip.AddrPort{}, 0
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(sa[2:])), 0
}
