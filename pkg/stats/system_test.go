package stats

import (
	"os"
	"runtime"
	"testing"
)

func TestReadKernel(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) { writeFile(t, root, name, text) }
	write("proc/net/sockstat", "sockets: used 14\nTCP: inuse 7 orphan 2 tw 688 alloc 9 mem 265\nUDP: inuse 0 mem 0\n")
	write("proc/sys/net/ipv4/tcp_mem", "287898\t383867\t575796\n")
	write("proc/net/netstat", "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 12 13\nIpExt: InNoRoutes\nIpExt: 5\n")
	got, err := ReadKernel(root)
	page := int64(os.Getpagesize())
	want := Kernel{TCPMemBytes: 265 * page, TCPMemPressure: 383867 * page, TCPMemLimit: 575796 * page, TCPSockets: 7, TCPOrphans: 2,
		TCPTimeWait: 688, ListenOverflows: 12, ListenDrops: 13}
	if err != nil || got != want {
		t.Errorf("ReadKernel = %+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "TcpExt:\n", "TcpExt: ListenDrops ListenOverflows\nTcpExt: x\n", "TCP: inuse\n"} {
		write("proc/net/netstat", text)
		write("proc/net/sockstat", text)
		if got, err := ReadKernel(root); err != nil || got.ListenOverflows != 0 || got.TCPSockets != 0 {
			t.Errorf("with %q: %+v, %v, want zeros", text, got, err)
		}
	}
	if _, err := ReadKernel(t.TempDir()); err == nil {
		t.Error("ReadKernel without /proc succeeds")
	}
	if _, err := ReadKernel("/"); err != nil {
		t.Errorf("ReadKernel of this system: %v", err)
	}
}

func TestReadHeapOfThisProcess(t *testing.T) {
	h := ReadHeap()
	if h.Bytes <= 0 || h.GoalBytes <= 0 {
		t.Errorf("ReadHeap = %+v, want a heap and its goal", h)
	}
	runtime.GC()
	after := ReadHeap()
	if after.GC.Cycles <= h.GC.Cycles || after.GC.Pauses.Count <= h.GC.Pauses.Count {
		t.Errorf("after a collection: %+v, before: %+v", after.GC, h.GC)
	}
}
