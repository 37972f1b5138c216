package sysprep

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// auditHost is a server of 24 GiB with the settings of Linux 6.18; over replaces files, "-" removes them.
func auditHost(over map[string]string) *Host {
	files := map[string]string{
		"proc/meminfo":                                 "MemTotal: 24684080 kB\nMemAvailable: 20000000 kB\n",
		"proc/sys/kernel/osrelease":                    "6.18.0",
		"proc/sys/fs/file-max":                         "2466170",
		"proc/sys/fs/file-nr":                          "500\t0\t2466170",
		"proc/sys/fs/nr_open":                          "1048576",
		"proc/sys/fs/epoll/max_user_watches":           "5491511",
		"proc/sys/net/core/somaxconn":                  "4096",
		"proc/sys/net/core/rmem_max":                   "212992",
		"proc/sys/net/core/wmem_max":                   "4194304",
		"proc/sys/net/core/netdev_max_backlog":         "1000",
		"proc/sys/net/ipv4/tcp_mem":                    "287898\t383867\t575796",
		"proc/sys/net/ipv4/tcp_rmem":                   "4096\t131072\t33554432",
		"proc/sys/net/ipv4/tcp_wmem":                   "4096\t16384\t4194304",
		"proc/sys/net/ipv4/ip_local_port_range":        "32768\t60999",
		"proc/sys/net/ipv4/ip_unprivileged_port_start": "1024",
		"proc/sys/net/ipv4/tcp_ehash_entries":          "262144",
		"proc/sys/net/ipv4/tcp_max_tw_buckets":         "131072",
		"proc/sys/net/ipv4/tcp_max_orphans":            "131072",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":        "2048",
		"proc/sys/net/ipv4/tcp_syncookies":             "1",
		"proc/sys/net/ipv4/tcp_timestamps":             "1",
		"proc/sys/net/ipv4/tcp_tw_reuse":               "2",
		"proc/sys/net/ipv4/tcp_fin_timeout":            "60",
		"proc/sys/net/ipv4/tcp_keepalive_time":         "7200",
		"proc/sys/net/ipv4/tcp_moderate_rcvbuf":        "1",
		"proc/sys/vm/swappiness":                       "60",
		"proc/sys/vm/min_free_kbytes":                  "67584",
		"proc/sys/net/ipv4/conf/all/rp_filter":         "0",
		"proc/self/status":                             "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-1\n",
	}
	maps.Copy(files, over)
	root := fstest.MapFS{}
	for name, text := range files {
		if text != "-" {
			root[name] = &fstest.MapFile{Data: []byte(text + "\n")}
		}
	}
	return NewHost(root, 4096)
}

// auditLine audits one line, or several of which the last is returned.
func auditLine(t *testing.T, h *Host, target Target, lines string) Judgement {
	t.Helper()
	tuning, err := ParseTuning("f", []byte(lines))
	if err != nil {
		t.Fatal(err)
	}
	a := RunAudit(h, target, tuning)
	return a.Lines[len(a.Lines)-1]
}

var (
	server  = Target{N: 1_000_000}
	loadgen = Target{N: 1_000_000, Role: RoleLoadgen, Ports: 20}
)

var auditCases = []struct {
	target   Target
	lines    string
	effect   Effect
	why      string // a part of it
	evidence string
	better   string
}{
	// more is better
	{server, "fs.file-max = 1010000", Harms, "lowers the limit below what is needed", "1165536", "2466170"},
	{server, "fs.file-max = 2000000", Nothing, "to what is still enough", "2466170", ""},
	{server, "fs.file-max = 3000000", Nothing, "default is enough", "", ""},
	{server, "fs.nr_open = 1010000", Harms, "no longer start", "1010000 < 1048576", "1104096"},
	{server, "fs.nr_open = 1048576", Nothing, "not enough for the target", "1104096", "1104096"},
	{server, "fs.nr_open = 1100000", Helps, "but not enough", "1104096", "1104096"},
	{server, "fs.nr_open = 2000000", Helps, "Enough for the target", "1104096", ""},
	{server, "net.core.somaxconn = 65535", Helps, "Enough for the target", "16384", ""},
	{server, "net.core.somaxconn = 128", Harms, "below what is needed", "", "16384"},
	{Target{N: 1000}, "net.core.somaxconn = 65535", Nothing, "default is enough", "", ""},
	{server, "net.core.somaxconn = many", Harms, "takes no such value", `"many"`, ""},
	{server, "net.ipv4.tcp_max_tw_buckets = 5000", Harms, "never to lower it", "131072", "131072"},
	{server, "fs.epoll.max_user_watches = 100000", Harms, "below what is needed", "1060000", "5491511"},

	// tcp_mem is counted in pages
	{server, "net.ipv4.tcp_mem = 10000000 10000000 10000000", Harms, "The unit is pages", "38.1 GiB; this host has 23.5 GiB", "625000 833333 1250000"},
	{server, "net.ipv4.tcp_mem = 2000000 2000000 2000000", Harms, "no pressure zone", "7.6 GiB", "625000 833333 1250000"},
	{server, "net.ipv4.tcp_mem = 1000000 2000000 5000000", Harms, "more than 60%", "19.1 GiB", "625000 833333 1250000"},
	{server, "net.ipv4.tcp_mem = 786432 2097152 3145728", Helps, "Room for a message to everybody", "12.0 GiB", ""},
	{server, "net.ipv4.tcp_mem = 100 200 300", Harms, "connections are reset", "300 < 1000000", "625000 833333 1250000"},
	{server, "net.ipv4.tcp_mem = 400000 500000 600000", Nothing, "less than what a message to everybody queues", "600000 <", "625000 833333 1250000"},
	{Target{N: 1000}, "net.ipv4.tcp_mem = 786432 2097152 3145728", Nothing, "is enough for a message", "", ""},
	{server, "net.ipv4.tcp_mem = 100 200 300 9", Harms, "connections are reset", "300 < 1000000", "625000 833333 1250000"},
	{server, "net.ipv4.tcp_mem = 1 2 x", Harms, "takes no such value", `"1 2 x"`, ""},

	// buffers
	{server, "net.ipv4.tcp_rmem = 1024 4096 16384", Harms, "limits, not reservations", "first window 2048 bytes", "4096 131072 33554432"},
	{server, "net.ipv4.tcp_rmem = 1024 131072 6291456", Harms, "Below one page", "1024 < 4096", "4096 131072 33554432"},
	{server, "net.ipv4.tcp_rmem = 4096 131072 65536", Harms, "never grow", "65536 < 131072", "4096 131072 33554432"},
	{server, "net.ipv4.tcp_rmem = 4096 87380 4161536", Nothing, "before 4.20", "", ""},
	{server, "net.ipv4.tcp_rmem = 4096\t131072 33554432", Nothing, "has it already", "", ""},
	{server, "net.ipv4.tcp_wmem = 1024 4096 16384", Harms, "limits, not reservations", "starts with 4096", "4096 16384 4194304"},
	{server, "net.ipv4.tcp_wmem = 4096 87380 4161536", Nothing, "pin half of tcp_mem", "38.8 GiB; half of tcp_mem is 1.1 GiB", ""},
	{server, "net.core.rmem_max = 16384", Harms, "DNS, QUIC, monitoring", "", "212992"},
	{server, "net.core.rmem_max = 16777216", Nothing, "pushd asks for no receive buffer", "", ""},
	{server, "net.core.wmem_max = 16384", Harms, "pushd's own send buffers", "SO_SNDBUF of 262144", "4194304"},
	{server, "net.core.wmem_max = 16777216", Nothing, "enough for pushd", "", ""},

	// ports
	{server, "net.ipv4.ip_local_port_range = 500 65535", Harms, "EINVAL", "500 < 1024 (net.ipv4.ip_unprivileged_port_start); this host keeps 32768 60999", "1024 65535"},
	{server, "net.ipv4.ip_local_port_range = 1024 65535", Nothing, "need no port", "64512 ports", ""},
	{loadgen, "net.ipv4.ip_local_port_range = 1024 65535", Helps, "Enough ports", "64512 ports", ""},
	{Target{N: 1_000_000, Role: RoleLoadgen}, "net.ipv4.ip_local_port_range = 1024 65535", Helps, "not enough for the target", "need 1050000", ""},
	{Target{N: 1_000_000, Role: RoleLoadgen}, "net.ipv4.ip_local_port_range = 40000 50000", Harms, "Fewer ports", "", ""},
	{server, "net.ipv4.ip_local_port_range = 65535 1024", Harms, "takes no such value", "", ""},
	{server, "net.ipv4.ip_local_port_range = 1024", Nothing, "need no port", "60999 - 1024 + 1", ""},
	{server, "net.ipv4.ip_local_port_range = 1024 70000", Harms, "takes no such value", "70000 > 65535", ""},
	{server, "net.ipv4.ip_local_port_range = 500 50000", Harms, "EINVAL", "500 < 1024", "1024 60999"},

	// what the kernel refuses, and what it makes of the rest
	{server, "net.core.somaxconn = 99999999999", Harms, "takes no such value (EINVAL)", "99999999999 > 2147483647", ""},
	{server, "net.core.somaxconn = -1", Harms, "takes no such value", "-1 < 0", ""},
	{server, "net.core.somaxconn = 0x10000", Helps, "Enough for the target", "16384", ""},
	{server, "net.core.somaxconn = 0200000", Helps, "Enough for the target", "16384", ""},
	{server, "net.core.somaxconn = 65535 1", Helps, "Enough for the target", "16384", ""},
	{server, "net.core.somaxconn = 64k", Harms, "takes no such value", `"64k"`, ""},
	{server, "net.core.somaxconn =", Harms, "takes no such value", `""`, ""},
	{server, "fs.nr_open = 9999999999", Harms, "takes no such value", "9999999999 > 2147483584", ""},
	{server, "net.ipv4.tcp_max_tw_buckets = 9999999999", Harms, "takes no such value", "> 2147483647", ""},
	{server, "net.ipv4.tcp_max_tw_buckets = -1", Harms, "below zero", "this host has 131072", "131072"},
	{server, "net.ipv4.tcp_max_tw_buckets = 131071", Harms, "never to lower it. It lowers", "131072", "131072"},
	{server, "net.ipv4.tcp_rmem = 4096 131072 99999999999", Harms, "takes no such value", "> 2147483647", ""},
	{server, "net.ipv4.tcp_rmem = 0 131072 6291456", Harms, "takes no such value", "0 < 1", ""},
	{server, "net.ipv4.tcp_fin_timeout = abc", Harms, "takes no such value", `"abc"`, ""},
	{server, "net.ipv4.tcp_fin_timeout = 99999999", Harms, "takes no such value", "99999999 > 21474836", ""},
	{server, "net.ipv4.tcp_syncookies = 256", Harms, "takes no such value", "256 > 255", ""},
	{server, "vm.swappiness = 1000", Harms, "takes no such value", "1000 > 200", ""},

	// switches, and what does nothing
	{server, "net.ipv4.tcp_timestamps = 0", Harms, "no PAWS", "", "1"},
	{server, "net.ipv4.tcp_syncookies = 1", Nothing, "the kernel's default", "", ""},
	{server, "net.ipv4.tcp_moderate_rcvbuf = 0", Harms, "freezes every receive window", "", "1"},
	{server, "net.ipv4.tcp_tw_reuse = 1", Nothing, "a server accepts them", "", ""},
	{loadgen, "net.ipv4.tcp_tw_reuse = 1", Helps, "back from TIME_WAIT", "", ""},
	{loadgen, "net.ipv4.tcp_timestamps = 0\nnet.ipv4.tcp_tw_reuse = 1", Nothing, "the tuning itself turns off", "line 1", ""},
	{server, "net.ipv4.tcp_max_syn_backlog = 8192", Nothing, "only while syncookies are off", "this host has net.ipv4.tcp_syncookies = 1", ""},
	{server, "net.ipv4.tcp_syncookies = 0\nnet.ipv4.tcp_max_syn_backlog = 65536", Helps, "Half-open", "", ""},
	{server, "net.ipv4.tcp_fin_timeout = 30", Nothing, "FIN_WAIT_2", "", ""},

	{server, "vm.swappiness = 1", Nothing, "while swap is in use", "60", ""},
	{server, "vm.min_free_kbytes = 200000", Nothing, "Nothing is known here that needs more", "67584", ""},
	{server, "vm.min_free_kbytes = 1000", Nothing, "It lowers what the host has", "67584", "67584"},

	// not there
	{server, "net.ipv4.tcp_tw_recycle = 1", Harms, "reports an error", "removed in Linux 4.12; Linux 6.18.0 has no /proc/sys/net/ipv4/tcp_tw_recycle", "delete the line"},
	{server, "-net.ipv4.tcp_tw_recycle = 1", Nothing, "keeps sysctl from reporting an error", "4.12", "delete the line"},
	{server, "net.netfilter.nf_conntrack_max = 2000000", Nothing, "kernel module", "", ""},
	{server, "net.core.somaxcon = 4096", Nothing, "slip of the pen", "", "net.core.somaxconn"},
	{server, "net.ipv4.no_such_thing = 1", Nothing, "no such setting", "6.18.0", ""},

	// not about connections
	{server, "net.ipv4.conf.all.rp_filter = 2", Unjudged, "", "in effect here: 0", ""},
	{server, "net.ipv4.conf.all.rp_filter = 0", Nothing, "has that value already", "", ""},
	{server, "-net.ipv4.conf.all.rp_filter", Unjudged, "patterns", "", ""},

	// several lines
	{server, "fs.nr_open = 100\nfs.nr_open = 2000000", Helps, "Enough", "", ""},
	{server, "net.core.*mem_max = 16384", Harms, "net.core.rmem_max: ", "", "212992"},
	{server, "net.ipv4.conf.*.rp_filter = 1", Unjudged, "matches nothing", "", ""},
	{server, "net.core.rmem_max = 212992\nnet.core.wmem_max = 4194304\nnet.core.*mem_max = 16384", Unjudged, "matches nothing", "", ""},
}

func TestAuditOfOneLine(t *testing.T) {
	for _, tt := range auditCases {
		j := auditLine(t, auditHost(nil), tt.target, tt.lines)
		if j.Effect != tt.effect || !strings.Contains(j.Why, tt.why) || !strings.Contains(j.Evidence, tt.evidence) || j.Better != tt.better {
			t.Errorf("%q for %s: %s because %q, evidence %q, better %q; want %s, %q, %q, %q",
				tt.lines, tt.target.role(), j.Effect, j.Why, j.Evidence, j.Better, tt.effect, tt.why, tt.evidence, tt.better)
		}
	}
}

func TestAuditOfAnOverriddenLine(t *testing.T) {
	tuning, err := ParseTuning("f", []byte("fs.nr_open = 100\n\nfs.nr_open = 2000000\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := RunAudit(auditHost(nil), Target{N: 1000}, tuning)
	if j := a.Lines[0]; j.Effect != Nothing || j.Why != "Line 3 sets it again, and the last one counts." || j.Evidence != "line 3: 2000000" {
		t.Errorf("the first of two lines: %+v", j)
	}
}

// The same line means something else on another kernel, in a namespace, or in a container.
func TestAuditDependsOnTheHost(t *testing.T) {
	child := map[string]string{"proc/sys/net/ipv4/tcp_mem": "-", "proc/sys/net/core/netdev_max_backlog": "-", "proc/sys/net/ipv4/tcp_max_orphans": "-"}
	tests := []struct {
		name, line string
		over       map[string]string
		effect     Effect
		why        string
	}{
		{"Linux 3.10", "net.ipv4.tcp_tw_recycle = 1", map[string]string{"proc/sys/kernel/osrelease": "3.10.0-1160.el7.x86_64",
			"proc/sys/net/ipv4/tcp_tw_recycle": "0"}, Harms, "behind one NAT address"},
		{"Linux 3.10, off", "net.ipv4.tcp_tw_recycle = 0", map[string]string{"proc/sys/net/ipv4/tcp_tw_recycle": "0"}, Nothing, "default"},
		{"Linux 4.19", "net.core.somaxconn = 4096", map[string]string{"proc/sys/kernel/osrelease": "4.19.0-27-amd64",
			"proc/sys/net/core/somaxconn": "128"}, Helps, "The longest queue of a listener. Enough"},
		{"child namespace", "net.ipv4.tcp_mem = 1 2 3", child, Nothing, "what the host has counts"},
		{"child namespace, read-only", "net.core.rmem_max = 16384", child, Nothing, "cannot be set from inside"},
		{"child namespace, its own", "net.core.somaxconn = 128", child, Harms, "lowers"},
		{"Linux 5.4, before its switches were bytes", "net.ipv4.tcp_syncookies = 256", map[string]string{"proc/sys/kernel/osrelease": "5.4.0"},
			Unjudged, "Neither"},
		{"Linux 5.4, whose table is not shown", "net.ipv4.tcp_max_tw_buckets = 5000", map[string]string{"proc/sys/kernel/osrelease": "5.4.0",
			"proc/sys/net/ipv4/tcp_ehash_entries": "-", "proc/sys/net/ipv4/tcp_max_tw_buckets": "5000"}, Harms, "never to lower it"},
		{"Linux 5.4, as the host", "net.ipv4.tcp_max_tw_buckets = 5000", map[string]string{"proc/sys/kernel/osrelease": "5.4.0",
			"proc/sys/net/ipv4/tcp_ehash_entries": "-", "proc/meminfo": "-"}, Harms, "It lowers what the host has"},
		{"conntrack", "net.netfilter.nf_conntrack_max = 2000500", map[string]string{"proc/sys/net/netfilter/nf_conntrack_max": "262144",
			"proc/sys/net/netfilter/nf_conntrack_count": "10", "proc/sys/net/netfilter/nf_conntrack_buckets": "262144"}, Helps, "Enough"},
		{"switched off here", "net.ipv4.tcp_timestamps = 1", map[string]string{"proc/sys/net/ipv4/tcp_timestamps": "0"}, Helps, "Brings back"},
		{"malformed", "fs.file-max = 5000000", map[string]string{"proc/sys/fs/file-max": "much"}, Unjudged, "could not be read"},
		{"no memory shown", "net.ipv4.tcp_mem = 10000000 10000000 10000000", map[string]string{"proc/meminfo": "-"}, Harms, "no pressure zone"},
	}
	for _, tt := range tests {
		j := auditLine(t, auditHost(tt.over), Target{N: 50_000}, tt.line)
		if j.Effect != tt.effect || !strings.Contains(j.Why, tt.why) {
			t.Errorf("%s: %q is %s because %q (%s), want %s, %q", tt.name, tt.line, j.Effect, j.Why, j.Evidence, tt.effect, tt.why)
		}
	}
}

// What the published tunings get wrong today.
func TestPublishedTunings(t *testing.T) {
	harms := map[string][]string{
		"pushpin": {"fs.file-max", "fs.nr_open", "net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.core.rmem_max", "net.core.wmem_max"},
		"appwrite": {"net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.core.rmem_max", "net.core.wmem_max",
			"net.ipv4.tcp_moderate_rcvbuf", "net.ipv4.ip_local_port_range"},
		"netty": {"net.ipv4.tcp_tw_recycle", "net.ipv4.tcp_timestamps", "net.ipv4.tcp_max_tw_buckets"},
	}
	for _, name := range Published() {
		tuning, ok := PublishedTuning(name)
		if !ok {
			t.Fatalf("there is no tuning %s", name)
		}
		a := RunAudit(auditHost(nil), Target{N: 1_000_000}, tuning)
		var got []string
		for _, j := range a.Lines {
			if j.Effect == Harms {
				got = append(got, j.Key)
			}
			if j.Why == "" || j.Effect == Harms && j.Evidence == "" {
				t.Errorf("%s: %s has no reason or evidence: %+v", name, j.Key, j)
			}
		}
		if !slices.Equal(got, harms[name]) {
			t.Errorf("%s harms by %q, want %q", name, got, harms[name])
		}
		lacks := slices.ContainsFunc(a.Lacks, func(l Lack) bool { return l.ID == "net.core.somaxconn" && l.Wanted == "16384" })
		if !lacks { // of all of them
			t.Errorf("%s lacks %+v, want somaxconn among them", name, a.Lacks)
		}
	}
	if _, ok := PublishedTuning("nginx"); ok {
		t.Error("there is a tuning nginx")
	}
}

func TestLimitsBesideATuning(t *testing.T) {
	tests := []struct {
		l      limitSetting
		effect Effect
		better string
	}{
		{limitSetting{where: "unit", value: 2_000_000}, Helps, ""},
		{limitSetting{where: "unit", value: 1_010_000}, Helps, "LimitNOFILE=1021024"},
		{limitSetting{where: "unit", value: 65_536}, Harms, "LimitNOFILE=1021024"},
		{limitSetting{where: "shell", value: 65_536, reaches: onlyShell}, Nothing, "LimitNOFILE=1021024 in the unit"},
		{limitSetting{where: "text", reaches: onlyLogins}, Nothing, ""},
	}
	for _, tt := range tests {
		if j := tt.l.judge(&auditor{t: Target{N: 1_000_000}}); j.Effect != tt.effect || j.Better != tt.better || j.Why == "" {
			t.Errorf("%+v is %+v, want %s, better %q", tt.l, j, tt.effect, tt.better)
		}
	}
}

func TestParseTuningRefuses(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "no kernel settings in f"},
		{"# only a comment\n", "no kernel settings in f"},
		{"a.b = 1\nwhat\nc.d = 2\nand this\n", "f:2: \"what\" is no assignment\nf:4: \"and this\" is no assignment"},
		{strings.Repeat("a.b = 1\n", maxTuningBytes/8+1), "f has more than 1024 KiB"},
	}
	for _, tt := range tests {
		if _, err := ParseTuning("f", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseTuning(%.20q): %v, want %q", tt.text, err, tt.want)
		}
	}
	if _, err := ParseTuning("f", nil); !errors.Is(err, ErrNoTuning) {
		t.Errorf("ParseTuning of nothing: %v, want ErrNoTuning", err)
	}
}

// Whatever a file says, the audit gives each of its lines one verdict with a reason.
func FuzzAudit(f *testing.F) {
	for _, name := range Published() {
		text, err := publishedFiles.ReadFile("published/" + name + ".conf")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("net.ipv4.tcp_mem = 9223372036854775807 1 9223372036854775807\nnet.ipv4.ip_local_port_range = -1 99999\nnet.* = 1"))
	h := auditHost(nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		tuning, err := ParseTuning("f", text)
		if err != nil {
			return
		}
		a := RunAudit(h, Target{N: 1_000_000}, tuning)
		if len(a.Lines) != len(tuning.settings) {
			t.Fatalf("%q: %d verdicts on %d lines", text, len(a.Lines), len(tuning.settings))
		}
		for _, j := range a.Lines {
			if !slices.Contains(Effects(), j.Effect) || j.Why == "" {
				t.Errorf("%q: %+v has no effect or no reason", text, j)
			}
		}
	})
}

// Every rule has the bounds of its setting.
func TestRulesHaveBounds(t *testing.T) {
	for key := range auditRules {
		if _, ok := kernelBounds[key]; !ok {
			t.Errorf("%s has a rule and no bounds", key)
		}
	}
}

// What is refused, this machine's kernel refuses; what is taken, it takes. Only what belongs to a network namespace is tried.
func TestBoundsAreTheKernels(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	h, _ := netnsHost(t)
	if v := h.kernel(); v.before(kernelVersion{6, 0}) {
		t.Skip("the bounds are those of Linux 6")
	}
	for key, b := range kernelBounds {
		live, err := h.sysctlText(key)
		if ScopeOf(key) != ScopeNetns || strings.HasPrefix(key, "net.netfilter.") || b.fields > 1 || err != nil {
			continue
		}
		for _, n := range []int64{b.low - 1, max(b.low, -1), b.high + 1} { // the longest time depends on the kernel's ticks
			err := writeSetting("/"+sysctlPath(key), number(n))
			if refused := errors.Is(err, unix.EINVAL); refused != (n < b.low || n > b.high) || err != nil && !refused {
				t.Errorf("the kernel's answer to %s = %d is %v; the bounds are %d and %d", key, n, err, b.low, b.high)
			}
		}
		if err := writeSetting("/"+sysctlPath(key), live); err != nil {
			t.Errorf("set %s back: %v", key, err)
		}
	}
}
