package stats

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ReadKernel reads what the kernel says about TCP in this process's network namespace, from /proc under root, which is "/"
// outside tests. It reads three small files, whatever the number of sockets. A figure that the kernel does not give is 0.
func ReadKernel(root string) (Kernel, error) {
	var k Kernel
	sockstat, err := os.ReadFile(filepath.Join(root, "proc/net/sockstat"))
	if err != nil {
		return k, fmt.Errorf("read sockets of the kernel: %w", err)
	}
	limits, err := os.ReadFile(filepath.Join(root, "proc/sys/net/ipv4/tcp_mem"))
	if err != nil {
		return k, fmt.Errorf("read limits of socket memory: %w", err)
	}
	netstat, err := os.ReadFile(filepath.Join(root, "proc/net/netstat"))
	if err != nil {
		return k, fmt.Errorf("read network counters: %w", err)
	}
	page := int64(os.Getpagesize())
	tcp := sockets(sockstat)
	k.TCPSockets, k.TCPOrphans, k.TCPTimeWait = int(tcp["inuse"]), int(tcp["orphan"]), int(tcp["tw"])
	k.TCPMemBytes = tcp["mem"] * page
	if fields := strings.Fields(string(limits)); len(fields) == 3 { // low, pressure, high; in pages
		k.TCPMemPressure = number(fields[1]) * page
		k.TCPMemLimit = number(fields[2]) * page
	}
	k.ListenOverflows = uint64(counter(netstat, "TcpExt:", "ListenOverflows"))
	k.ListenDrops = uint64(counter(netstat, "TcpExt:", "ListenDrops"))
	return k, nil
}

// sockets reads the line "TCP: inuse 27 orphan 0 tw 0 alloc 29 mem 3".
func sockets(sockstat []byte) map[string]int64 {
	out := map[string]int64{}
	for line := range bytes.Lines(sockstat) {
		rest, ok := bytes.CutPrefix(line, []byte("TCP:"))
		if !ok {
			continue
		}
		fields := strings.Fields(string(rest))
		for i := 0; i+1 < len(fields); i += 2 {
			out[fields[i]] = number(fields[i+1])
		}
	}
	return out
}

// counter finds a counter in a file of which each second line has the values for the names in the line before.
func counter(netstat []byte, group, name string) int64 {
	var names []string
	for line := range bytes.Lines(netstat) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] != group {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, n := range names {
			if n == name && i < len(fields) {
				return number(fields[i])
			}
		}
		return 0
	}
	return 0
}

// number is 0 for what is no number of 0 or more.
func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}
