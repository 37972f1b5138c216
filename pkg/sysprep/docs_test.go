package sysprep

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// The tables of docs/capacity.md are what the formulas give.
func TestTablesOfTheManual(t *testing.T) {
	b, err := os.ReadFile("../../docs/capacity.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	h := NewHost(fstest.MapFS{}, 4096)
	for _, size := range []struct {
		name string
		n    int64
	}{{"10k", 10_000}, {"100k", 100_000}, {"1M", million}, {"10M", 10 * million}} {
		target := Target{N: size.n}
		m := h.model(target)
		mib := func(n int64) string {
			if n < 1<<30 {
				return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
			}
			return gib(n)
		}
		memory := fmt.Sprintf("| %s | %s | %s | %s | %s |", size.name, mib(size.n*(m.SocketBytes+m.EpollBytes)),
			mib(size.n*m.UserBytes), mib(size.n*m.QueuedPages*m.PageBytes), gib(ceilDiv(m.estimate(size.n), memoryPercent)*100))
		limits := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d |", size.name, fdsNeeded(size.n), nrOpenWanted(size.n),
			ceilPercent(size.n, 110)+65_536, ceilPercent(size.n, 105)+10_000, ceilPercent(size.n*m.QueuedPages, 125), somaxconnWanted(target.rate(), 4))
		for _, row := range []string{memory, limits} {
			if !strings.Contains(text, row+"\n") {
				t.Errorf("docs/capacity.md does not have the row\n%s", row)
			}
		}
	}
	for _, figure := range []string{fmt.Sprintf("%d B", assumedSocketBytes), fmt.Sprintf("%d B", assumedEpollBytes), fmt.Sprintf("%d B", userBytes)} {
		if !strings.Contains(text, figure) {
			t.Errorf("docs/capacity.md does not name the assumed %s", figure)
		}
	}
}
