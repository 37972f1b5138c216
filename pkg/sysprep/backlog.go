package sysprep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// backlog is the queue of a listener.
type backlog struct {
	port   int
	inode  uint32 // of its socket, by which a process's descriptors name it
	queued int64  // connections that wait to be accepted
	most   int64  // that may wait: the backlog of listen, cut to net.core.somaxconn
}

// lowFDs is how many descriptors of a process are looked at for listeners. A server opens them before it has clients,
// and a million descriptors would take too long.
const lowFDs = 512

// listenersOf keeps the listeners of a process; it is an error when its descriptors may not be seen.
func (h *Host) listenersOf(pid int, all []backlog) ([]backlog, error) {
	inodes := make(map[uint32]bool)
	for fd := range lowFDs {
		target, err := fs.ReadLink(h.root, fmt.Sprintf("proc/%d/fd/%d", pid, fd))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		digits, isSocket := strings.CutPrefix(target, "socket:[")
		if n, err := strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 32); isSocket && err == nil {
			inodes[uint32(n)] = true
		}
	}
	var own []backlog
	for _, b := range all {
		if inodes[b.inode] {
			own = append(own, b)
		}
	}
	if len(own) == 0 {
		return nil, fmt.Errorf("process %d has no listener in this network namespace", pid)
	}
	return own, nil
}

func checkBacklog(h *Host, t Target) (Finding, error) {
	all, err := h.backlogs()
	if err != nil {
		return Finding{}, err
	}
	least := int64(0) // of others than pushd nothing is asked
	if t.PID != 0 && t.serves() {
		if all, err = h.listenersOf(t.PID, all); err != nil {
			return Finding{}, err
		}
		least = somaxconnWanted(t.rate(), h.listeners(t))
	}
	if len(all) == 0 {
		return fine("no listener", ""), nil
	}
	return judgeBacklogs(all, least), nil
}

// judgeBacklogs warns about a queue that is nearly full, and about one that is shorter than least.
func judgeBacklogs(all []backlog, least int64) Finding {
	fullest, shortest := all[0], all[0]
	for _, b := range all {
		if float64(b.queued)/float64(b.most+1) > float64(fullest.queued)/float64(fullest.most+1) {
			fullest = b
		}
		if b.most < shortest.most {
			shortest = b
		}
	}
	f := Finding{Outcome: OK, Current: fmt.Sprintf("%d of %d", fullest.queued, fullest.most)}
	switch {
	case fullest.queued*10 > fullest.most*9 && fullest.queued > 0:
		f.Outcome, f.Wanted, f.Formula = Warn, fmt.Sprintf("%d at most", fullest.most*9/10), fmt.Sprintf("0.9*%d", fullest.most)
		f.Why = fmt.Sprintf("The queue of the listener on port %d is full now: its process does not accept fast enough, or not at all.", fullest.port)
		return f.withText(fmt.Sprintf("ss -ltnp 'sport = :%d'  # who it is", fullest.port), "a higher net.core.somaxconn, and a restart of the listener")
	case shortest.most < least:
		f.Outcome, f.Current, f.Wanted, f.Formula = Warn, number(shortest.most), number(least), fmt.Sprintf("the backlog that is wanted = %d", least)
		f.Why = fmt.Sprintf("The listener on port %d was opened with a shorter queue, which it keeps.", shortest.port)
		return f.withText("raise net.core.somaxconn if it is lower, then restart pushd", "net.core.somaxconn, see there")
	}
	return f
}

// The layout of the kernel's answers about sockets (linux/inet_diag.h), in bytes.
const (
	diagRequestBytes = 56
	diagAnswerBytes  = 72
	diagRecvQ        = 56 // offset of idiag_rqueue
	diagSendQ        = 60 // offset of idiag_wqueue
	diagInode        = 68 // offset of idiag_inode
	stateListen      = 10
	diagTimeout      = 2 * time.Second
)

// readBacklogs asks this machine's kernel for the TCP listeners of this network namespace, as ss does.
func readBacklogs() ([]backlog, error) {
	var all []backlog
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		some, err := askBacklogs(family)
		if err != nil {
			return nil, fmt.Errorf("the kernel does not show its listeners: %w", err)
		}
		all = append(all, some...)
	}
	return all, nil
}

func askBacklogs(family uint8) ([]backlog, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(diagTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, err
	}
	request := make([]byte, unix.SizeofNlMsghdr+diagRequestBytes)
	binary.NativeEndian.PutUint32(request[0:], uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request[unix.SizeofNlMsghdr] = family
	request[unix.SizeofNlMsghdr+1] = unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[unix.SizeofNlMsghdr+4:], 1<<stateListen)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var all []backlog
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, err
		}
		some, done, err := parseBacklogs(buf[:n])
		if all = append(all, some...); done || err != nil {
			return all, err
		}
	}
}

// parseBacklogs reads one datagram of answers. done says that it was the last.
func parseBacklogs(b []byte) (all []backlog, done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return nil, false, errors.New("an answer has a wrong length")
		}
		body := b[unix.SizeofNlMsghdr:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return all, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return nil, false, errors.New("an answer is cut short")
			}
			return nil, false, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < diagAnswerBytes {
				return nil, false, errors.New("an answer is cut short")
			}
			all = append(all, backlog{
				port:   int(binary.BigEndian.Uint16(body[4:])),
				queued: int64(binary.NativeEndian.Uint32(body[diagRecvQ:])),
				most:   int64(binary.NativeEndian.Uint32(body[diagSendQ:])),
				inode:  binary.NativeEndian.Uint32(body[diagInode:]),
			})
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return all, false, nil
}
