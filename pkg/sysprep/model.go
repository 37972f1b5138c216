package sysprep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What the model assumes where the host does not show it, in bytes: the slab objects of an idle TCP socket with their
// rounding, and of its registration in an epoll set, as Linux 6.18 has them.
const (
	assumedSocketBytes = 4000
	assumedEpollBytes  = 144
)

// UserBaseBytes is pushd's own memory without connections, in bytes, as measured with two loops.
const UserBaseBytes = 2900 << 10

// Model is what a connection costs on a host, in bytes, and whether each figure was found there or assumed.
type Model struct {
	SocketBytes   int64 // of the kernel, for a socket with its file
	EpollBytes    int64 // of the kernel, for a registration
	UserBytes     int64 // of pushd
	UserBaseBytes int64 // of pushd without connections
	LoadgenBytes  int64 // of the load generator
	QueuedPages   int64 // pages that a message on its way to a connection holds
	PageBytes     int64
	SpareBytes    int64 // for everything else
	SocketsAssume bool  // SocketBytes and EpollBytes are assumed
	UserAssume    bool  // UserBytes is assumed

	serves, opens bool
}

// Model reckons what a connection of the target costs here.
func (h *Host) Model(t Target) Model { return h.model(t) }

func (h *Host) model(t Target) Model {
	m := Model{SocketBytes: assumedSocketBytes, EpollBytes: assumedEpollBytes, UserBytes: userBytes, LoadgenBytes: loadgenBytes, UserBaseBytes: UserBaseBytes,
		PageBytes: h.pageBytes, SpareBytes: spareBytes, SocketsAssume: true, UserAssume: true, serves: t.serves(), opens: t.opens()}
	m.QueuedPages = queuedPages(t.msgBytes(), h.pageBytes)
	if slabs, err := h.text("proc/slabinfo"); err == nil {
		if socket, epoll, ok := parseSlabs(slabs, h.pageBytes); ok {
			m.SocketBytes, m.EpollBytes, m.SocketsAssume = socket, epoll, false
		}
	}
	if t.Pushd != nil && t.Pushd.UserBytes > 0 {
		m.UserBytes, m.UserAssume = t.Pushd.UserBytes, false
	}
	return m
}

// skbOverhead is what the kernel adds to data on its way: headers, and the description of the buffer.
const skbOverhead = 1300

// queuedPages is the number of pages that a message of so many bytes holds until its client has taken it.
func queuedPages(msgBytes, pageBytes int64) int64 { return ceilDiv(msgBytes+skbOverhead, pageBytes) }

// perConnection is what an idle connection costs, without what is queued.
func (m Model) perConnection() int64 {
	n := int64(0)
	if m.serves {
		n += m.SocketBytes + m.EpollBytes + m.UserBytes
	}
	if m.opens {
		n += m.SocketBytes + m.EpollBytes + m.LoadgenBytes
	}
	return n
}

// Idle is the estimate for n idle connections, without what is left for everything else.
func (m Model) Idle(n int64) int64 { return n * m.perConnection() }

// estimate is the one for a message on its way to each of n connections, with what is left for everything else.
func (m Model) estimate(n int64) int64 {
	return sum(product(n, sum(m.perConnection(), product(m.QueuedPages, m.PageBytes))), m.SpareBytes)
}

// Peak is the estimate that a host is held against: n connections while a message is on its way to each of them, and
// what everything else needs.
func (m Model) Peak(n int64) int64 { return m.estimate(n) }

// formula writes the estimate out.
func (m Model) formula(n int64) string {
	var parts []string
	if m.serves {
		parts = append(parts, fmt.Sprintf("%d socket + %d epoll + %d user", m.SocketBytes, m.EpollBytes, m.UserBytes))
	}
	if m.opens {
		parts = append(parts, fmt.Sprintf("%d socket + %d epoll + %d generator", m.SocketBytes, m.EpollBytes, m.LoadgenBytes))
	}
	return fmt.Sprintf("%d*(%s + %d*%d queued) + %d", n, strings.Join(parts, " + "), m.QueuedPages, m.PageBytes, m.SpareBytes)
}

// The checks that reckon with what may be assumed.
var (
	memoryIDs = []string{"memory", "cgroup.memory"}
	queueIDs  = append([]string{"net.ipv4.tcp_mem"}, memoryIDs...)
	rateIDs   = []string{"net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_max_tw_buckets", "evidence.backlog", "evidence.listen"}
)

// assumed lists the figures in the formulas of the selected checks that nobody has measured.
func (t Target) assumed(h *Host, s Selection) []string {
	m := h.model(t)
	list := []string{}
	add := func(ids []string, format string, args ...any) {
		if slices.ContainsFunc(ids, s.has) {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	if m.SocketsAssume {
		add(memoryIDs, "%d bytes of kernel memory for a socket and %d for its registration (/proc/slabinfo is not readable)",
			m.SocketBytes, m.EpollBytes)
	}
	if m.UserAssume && m.serves {
		add(memoryIDs, "%d bytes of pushd's own memory for a connection", m.UserBytes)
	}
	if m.opens {
		add(memoryIDs, "%d bytes of the load generator's memory for a connection", m.LoadgenBytes)
	}
	if t.MsgBytes == 0 {
		add(queueIDs, "messages to all of at most %d bytes (--msg-bytes)", t.msgBytes())
	}
	if t.Rate == 0 {
		add(rateIDs, "%d new connections a second at the peak (--rate)", t.rate())
	}
	return list
}

// socketSlab is a cache of the kernel.
type socketSlab struct {
	name  string
	bytes int64 // where it is not listed, with its rounding
	epoll bool  // it belongs to the registration and not to the socket
}

// socketSlabs are the objects that a connection takes, each once. The kernel merges caches of one size, so a name may be
// missing, and the object is then taken at the size that the table gives.
var socketSlabs = []socketSlab{
	{"TCPv6", 2521, false}, // also of a client of IPv4, when the listener takes both
	{"sock_inode_cache", 862, false},
	{"filp", 195, false},
	{"dentry", 195, false},
	{"lsm_inode_cache", 32, false},
	{"lsm_file_cache", 24, false},
	{"eventpoll_epi", 128, true},
	{"ep_head", 16, true},
}

// leastSocketBytes is less than any kernel takes for a TCP socket with its file. A table that says
// less is not true.
const leastSocketBytes = 1000

// parseSlabs adds up the objects of a connection out of a /proc/slabinfo. It needs the socket itself to be listed.
func parseSlabs(s string, pageBytes int64) (socket, epoll int64, ok bool) {
	sizes := make(map[string]int64)
	for line := range strings.Lines(s) {
		name, _, _ := strings.Cut(line, " ")
		if name != "TCP" && !slices.ContainsFunc(socketSlabs, func(slab socketSlab) bool { return slab.name == name }) {
			continue // most of them: a server that starts is not to make garbage of them
		}
		f := strings.Fields(line) // name, active, all, bytes of one, objects of a slab, pages of a slab, ...
		if len(f) < 6 {
			continue
		}
		object, err1 := strconv.ParseInt(f[3], 10, 32)
		perSlab, err2 := strconv.ParseInt(f[4], 10, 32)
		pages, err3 := strconv.ParseInt(f[5], 10, 32)
		if err1 != nil || err2 != nil || err3 != nil || object <= 0 || perSlab <= 0 || pages <= 0 {
			continue
		}
		if share := ceilDiv(pages*pageBytes, perSlab); share < 2*object+64 { // else the page size is not that of the copy
			sizes[f[0]] = share
		} else {
			sizes[f[0]] = object
		}
	}
	if sizes["TCPv6"] == 0 && sizes["TCP"] == 0 {
		return 0, 0, false
	}
	sizes["TCPv6"] = max(sizes["TCPv6"], sizes["TCP"])
	for _, slab := range socketSlabs {
		n := sizes[slab.name]
		if n == 0 {
			n = slab.bytes
		}
		if slab.epoll {
			epoll += n
		} else {
			socket += n
		}
	}
	if socket < leastSocketBytes {
		return 0, 0, false
	}
	return socket, epoll, true
}
