package sysprep

import (
	"fmt"
)

// Sample is the evidence of one moment. A gauge or limit that the host does not show is -1, and so is its column.
type Sample struct {
	Sockets   int64 `json:"sockets"` // of TCP, in use
	Orphans   int64 `json:"orphans"`
	TimeWait  int64 `json:"time_wait"`
	Pages     int64 `json:"tcp_pages"` // queued by TCP
	Files     int64 `json:"files"`     // open on the machine
	Conntrack int64 `json:"conntrack"` // tracked connections

	Counters map[string]int64 `json:"counters"` // since boot, by the kernel's names

	limits map[string]gauge
}

// gauge is something that can fill.
type gauge struct{ used, most int64 }

// watchedCounters are those that grow only when a limit is met. The names are the kernel's, but for softnet and log.
var watchedCounters = []struct{ name, meaning, id string }{
	{"ListenOverflows", "full accept queue", "net.core.somaxconn"},
	{"ListenDrops", "handshakes dropped", "net.core.somaxconn"},
	{"TCPReqQFullDrop", "half-open queue full", "net.ipv4.tcp_max_syn_backlog"},
	{"TCPReqQFullDoCookies", "SYN cookies sent", "net.ipv4.tcp_max_syn_backlog"},
	{"TCPTimeWaitOverflow", "TIME_WAIT full", "net.ipv4.tcp_max_tw_buckets"},
	{"TCPMemoryPressures", "TCP short of memory", "net.ipv4.tcp_mem"},
	{"TCPAbortOnMemory", "connections killed for memory", "net.ipv4.tcp_mem"},
	{"RcvPruned", "received data thrown away", "net.ipv4.tcp_rmem"},
	{"PAWSEstab", "old timestamps", "net.ipv4.tcp_timestamps"},
	{softnetDropped, "packets dropped before TCP", "net.core.netdev_max_backlog"},
	{logLines, "the kernel's log names a limit", "evidence.kernel_log"},
}

const (
	softnetDropped = "softnet_dropped"
	logLines       = "kernel_log"
)

// Touch is a limit that was met between two samples, or that is nearly full.
type Touch struct {
	ID      string `json:"id"`      // of the check that knows the remedy
	What    string `json:"what"`    // the counter or gauge
	Meaning string `json:"meaning"` // in a few words
	Grew    int64  `json:"grew"`    // by how much the counter grew; 0 of a gauge
}

// Sample takes one. It is an error when nothing can be read.
func (h *Host) Sample() (Sample, error) {
	s := Sample{Sockets: -1, Orphans: -1, TimeWait: -1, Pages: -1, Files: -1, Conntrack: -1,
		Counters: make(map[string]int64), limits: make(map[string]gauge)}
	st, err := h.sockstat()
	if err != nil {
		return Sample{}, err
	}
	s.Sockets, s.Orphans, s.TimeWait, s.Pages = st.inUse, st.orphans, st.timeWait, st.pages
	s.sampleCounters(h)
	s.Files = h.filesInUse()
	if _, count, err := h.conntrack(); err == nil {
		s.Conntrack = count
	}
	s.limit(h, "net.ipv4.tcp_max_orphans", s.Orphans)
	s.limit(h, "net.ipv4.tcp_max_tw_buckets", s.TimeWait)
	s.limit(h, "fs.file-max", s.Files)
	s.limit(h, "net.netfilter.nf_conntrack_max", s.Conntrack)
	if mem, err := h.sysctls("net.ipv4.tcp_mem", 3); err == nil {
		s.limits["net.ipv4.tcp_mem"] = gauge{s.Pages, mem[1]}
	}
	return s, nil
}

// sampleCounters reads the counters that there are.
func (s *Sample) sampleCounters(h *Host) {
	c, err := h.netCounters()
	if err != nil {
		c = counters{}
	}
	for _, w := range watchedCounters {
		if n, ok := c["TcpExt."+w.name]; ok {
			s.Counters[w.name] = n
		}
	}
	if soft, err := h.softnet(); err == nil {
		s.Counters[softnetDropped] = soft.dropped
	}
	if log, err := h.kernelLog(); err == nil {
		s.Counters[logLines] = int64(countSigns(log))
	}
}

// limit notes how far a gauge is from its limit, where both are known.
func (s *Sample) limit(h *Host, key string, used int64) {
	if most, err := h.sysctl(key); err == nil && used >= 0 {
		s.limits[key] = gauge{used, most}
	}
}

// Touched lists the limits that were met since the sample before, and the gauges that are above 90%.
func (s Sample) Touched(before Sample) []Touch {
	touched := []Touch{}
	for _, w := range watchedCounters {
		now, ok := s.Counters[w.name]
		then, had := before.Counters[w.name]
		if ok && had && now > then {
			touched = append(touched, Touch{ID: w.id, What: w.name, Meaning: w.meaning, Grew: now - then})
		}
	}
	for _, key := range []string{"net.ipv4.tcp_mem", "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_tw_buckets", "fs.file-max", "net.netfilter.nf_conntrack_max"} {
		if g, ok := s.limits[key]; ok && g.most > 0 && float64(g.used) > 0.9*float64(g.most) {
			touched = append(touched, Touch{ID: key, What: key, Meaning: fmt.Sprintf("%d of %s", g.used, number(g.most))})
		}
	}
	return touched
}
