package stats

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	goodStatus = "Name:\tpushd\nVmRSS:\t    4096 kB\nRssAnon:\t     256 kB\nRssFile:\t    3840 kB\n"
	goodLimits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max processes             7000                 8000                 processes \n" +
		"Max open files            1024                 4096                 files     \n"
)

// fakeRoot writes the files of /proc/self below a new root directory; a file with empty text is left out.
func fakeRoot(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	self := filepath.Join(root, "proc/self")
	if err := os.MkdirAll(self, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(self, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestReadProcessFixture(t *testing.T) {
	root := fakeRoot(t, map[string]string{"status": goodStatus, "limits": goodLimits})
	got, err := ReadProcess(root, func() int { return 42 })
	want := Process{RSSBytes: 4096 << 10, RSSAnonBytes: 256 << 10, CPUSeconds: got.CPUSeconds, FDs: FDs{Used: 42, Limit: 1024}}
	if err != nil || got != want {
		t.Errorf("ReadProcess = %+v, %v, want %+v", got, err, want)
	}
	var s Snapshot
	got.Fill(&s)
	if s.RSSBytes != want.RSSBytes || s.RSSAnonBytes != want.RSSAnonBytes || s.CPUSeconds != want.CPUSeconds || s.FDs != want.FDs {
		t.Errorf("Fill gave %+v, want the values of %+v", s, want)
	}
}

func TestReadProcessNamesWhatIsWrong(t *testing.T) {
	tests := []struct {
		file, text, want string
	}{
		{"status", "", "read process memory"},
		{"status", "Name:\tpushd\n", "no line VmRSS:"},
		{"status", "VmRSS:\t1 kB\n", "no line RssAnon:"},
		{"status", "VmRSS:\t1 MB\n", "not a number of kB"},
		{"status", "VmRSS:\t-1 kB\n", "not a number of kB"},
		{"status", "VmRSS:\t99999999999999999999 kB\n", "not a number of kB"},
		{"limits", "", "read process limits"},
		{"limits", "Max processes 1 2 processes\n", "no line for open files"},
		{"limits", "Max open files\n", "no line for open files"},
		{"limits", "Max open files x y files\n", "open files"},
	}
	for _, tt := range tests {
		files := map[string]string{"status": goodStatus, "limits": goodLimits}
		files[tt.file] = tt.text
		_, err := ReadProcess(fakeRoot(t, files), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: ReadProcess error = %v, want %q in it", tt.file, tt.text, err, tt.want)
		}
	}
}

func TestOpenFilesLimitWithoutLimit(t *testing.T) {
	for _, soft := range []string{"unlimited", "18446744073709551614"} {
		n, err := openFilesLimit([]byte("Max open files   " + soft + "   unlimited   files\n"))
		if soft == "unlimited" && (n != unlimited || err != nil) {
			t.Errorf("openFilesLimit(%s) = %d, %v, want %d", soft, n, err, unlimited)
		}
		if n < 0 {
			t.Errorf("openFilesLimit(%s) = %d, want 0 or more", soft, n)
		}
	}
}

func TestReadProcessOfThisProcess(t *testing.T) {
	start, err := ReadProcess("/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if start.RSSBytes < start.RSSAnonBytes || start.RSSAnonBytes == 0 || start.FDs.Limit < 3 {
		t.Errorf("ReadProcess = %+v, want memory and a limit", start)
	}
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	deadline := time.Now().Add(50 * time.Millisecond)
	for time.Now().Before(deadline) { // uses up processor time for cpuSeconds to see
	}
	end, err := ReadProcess("/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if grown := end.RSSAnonBytes - start.RSSAnonBytes; grown < 60<<20 {
		t.Errorf("RssAnon grew by %d bytes after 64 MiB were touched", grown)
	}
	if used := end.CPUSeconds - start.CPUSeconds; used < 0.02 || used > 30 {
		t.Errorf("%v CPU seconds used by 50 ms of work", used)
	}
	runtime.KeepAlive(ballast)
}

func TestOpenFDsIsTheirNumber(t *testing.T) {
	before := openFDs("/proc/self", nil)
	if before == 0 {
		t.Skip("this kernel does not say the number of open files in the size of /proc/self/fd (Linux 6.2)")
	}
	for range 50 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after := openFDs("/proc/self", func() int { return -1 }); after != before+50 {
		t.Errorf("openFDs = %d after opening 50 files at %d", after, before)
	}
}

func BenchmarkReadProcess(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadProcess("/", nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestSumAddsUpLoops(t *testing.T) {
	a, b := new(Loop), new(Loop)
	for i, l := range []*Loop{a, b} {
		n := uint64(i + 1)
		l.Accepted.Add(10 * n)
		for range 3 * n {
			l.Connections[HTTP].Add(1)
		}
		l.Move(HTTP, Events)
		l.Move(HTTP, HTTP)
		l.Connections[Stream].Add(4)
		l.Connections[Poll].Add(5)
		l.Connections[WS].Add(6)
		l.Closed[CloseClient].Add(n)
		l.Dropped[DropQueueFull].Add(7 * n)
		l.Subscriptions.Add(int64(11 * n))
		l.Delivered.Add(12 * n)
		l.Queued.Add(13)
		l.BytesOut.Add(14)
		l.Batches.Add(15 * n)
		l.Walks.Add(16)
	}
	b.Closed[CloseDrain].Add(9)
	s := Sum([]*Loop{a, b})
	if want := (Connections{Total: 39, HTTP: 7, Events: 2, Stream: 8, Poll: 10, WS: 12}); s.Connections != want {
		t.Errorf("Connections = %+v, want %+v", s.Connections, want)
	}
	if want := map[string]uint64{"client": 3, "drain": 9}; !maps.Equal(s.Closed, want) {
		t.Errorf("Closed = %v, want %v", s.Closed, want)
	}
	if want := map[string]uint64{"queue-full": 21}; !maps.Equal(s.Dropped, want) {
		t.Errorf("Dropped = %v, want %v", s.Dropped, want)
	}
	if s.Accepted != 30 || s.Subscriptions != 33 || s.Delivered != 36 || s.QueuedBytes != 26 || s.BytesOut != 28 {
		t.Errorf("sums = %+v", s)
	}
	want := LoopSnapshot{Connections: 21, Accepted: 20, Subscriptions: 22, Delivered: 24, BytesOut: 14, QueuedBytes: 13, Batches: 30, Walks: 16,
		Kinds: Connections{Total: 21, HTTP: 5, Events: 1, Stream: 4, Poll: 5, WS: 6}}
	if len(s.Loops) != 2 || !reflect.DeepEqual(s.Loops[1], want) {
		t.Errorf("Loops = %+v, want the second %+v", s.Loops, want)
	}
}

func TestReasonsHaveDistinctNames(t *testing.T) {
	seen := make(map[string]bool)
	for r := range numCloseReasons {
		if s := r.String(); s == "" || s == "unknown" || seen[s] {
			t.Errorf("CloseReason(%d) = %q: empty or twice", r, s)
		} else {
			seen[s] = true
		}
	}
	clear(seen)
	for r := range numDropReasons {
		if s := r.String(); s == "" || s == "unknown" || seen[s] {
			t.Errorf("DropReason(%d) = %q: empty or twice", r, s)
		} else {
			seen[s] = true
		}
	}
	if got := CloseReason(200).String() + DropReason(200).String(); got != "unknownunknown" {
		t.Errorf("out of range = %q", got)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	l := new(Loop)
	n := testing.AllocsPerRun(100, func() {
		l.Move(HTTP, Stream)
		l.Delivered.Add(1)
		l.Move(Stream, HTTP)
	})
	if n != 0 {
		t.Errorf("counting allocates %v times, want 0", n)
	}
}
