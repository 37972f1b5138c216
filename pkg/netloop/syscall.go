package netloop

import (
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
