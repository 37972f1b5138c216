package sysprep

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
)

// What cannot be done from here is not tried, and not written to a file that nobody would read.
func TestBlockedSteps(t *testing.T) {
	readOnly := map[string]string{"proc/self/mountinfo": "1 0 0:1 / /proc rw - proc proc rw\n2 1 0:1 /sys /proc/sys ro,nosuid - proc proc rw\n"}
	h, c := fixHost(t, readOnly)
	before := tree(t, c)
	p, _ := MakePlan(h, fixTarget, fixOnly)
	want := map[string]string{
		"fs.nr_open":         "/proc/sys is read-only here, as in a container; set it on the host.",
		"net.core.somaxconn": "/proc/sys is read-only here, as in a container; start it with --sysctl net.core.somaxconn=16384.",
		"LimitNOFILE":        "fs.nr_open is below it, and pushd would not start: raise that one as well.",
	}
	for _, s := range p.Steps {
		if s.Key == "LimitNOFILE" { // 1021024 is within the stock fs.nr_open
			continue
		}
		if s.State != StepBlocked || s.Reason != want[s.Key] {
			t.Errorf("%s is %s because %q, want blocked because %q", s.Key, s.State, s.Reason, want[s.Key])
		}
	}
	p, _ = MakePlan(h, Target{N: 2_000_000}, fixOnly)
	for _, s := range p.Steps {
		if s.State != StepBlocked || s.Key == "LimitNOFILE" && s.Reason != want["LimitNOFILE"] {
			t.Errorf("for 2M %s is %s because %q, want blocked", s.Key, s.State, s.Reason)
		}
	}
	p, err := c.Apply(t.Context(), p)
	if err != nil || !p.Failed() {
		t.Errorf("Apply of blocked steps: %v, failed %v", err, p.Failed())
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("Apply of blocked steps changes %q", got)
	}
	for _, key := range []string{"fs.nr_open = 2204096", "net.core.somaxconn = 32768"} { // others deploy it where it can be set
		if !strings.Contains(string(p.Sysctl()), key) {
			t.Errorf("print leaves out %s: %s", key, p.Sysctl())
		}
	}
}

func TestWithoutSystemd(t *testing.T) {
	h, c := fixHost(t, nil)
	for _, dir := range []string{"run/systemd", "etc/systemd"} {
		if err := os.RemoveAll(c.path(dir)); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := MakePlan(h, fixTarget, Selection{Only: []string{"rlimit.nofile"}})
	if len(p.Steps) != 1 || p.Steps[0].State != StepBlocked ||
		p.Steps[0].Reason != "systemd does not run here; start pushd where `ulimit -n 1021024` was done." {
		t.Errorf("the plan without systemd is %+v", p.Steps)
	}
}

func TestHigher(t *testing.T) {
	tests := []struct{ key, a, b, want string }{
		{"fs.nr_open", "10", "9", "10"},
		{"fs.nr_open", "9", "10", "10"},
		{"net.ipv4.tcp_rmem", "4096 99 1", "1 100 2", "4096 100 2"},
		{"net.ipv4.tcp_rmem", "1 2", "1 2 3", "1 2 3"},
		{"x", "much", "2", "2"},
		{portRange, "32768 60999", "1024 60000", "1024 60999"},
		{"LimitNOFILE", "infinity", "5", "infinity"},
		{"LimitNOFILE", "100", "50:200", "100:200"},
		{"LimitNOFILE", "50:infinity", "100:200", "100:infinity"},
		{"TimeoutStopSec", "90s", "70s", "90s"},
		{"TimeoutStopSec", "1min", "70s", "70s"},
		{"fs.file-max", "9223372036854775807", "18446744073709551615", "18446744073709551615"},
	}
	for _, tt := range tests {
		if got := higher(tt.key, tt.a, tt.b); got != tt.want {
			t.Errorf("higher(%s, %q, %q) = %q, want %q", tt.key, tt.a, tt.b, got, tt.want)
		}
	}
}

func TestPlanAsJSON(t *testing.T) {
	h, _ := fixHost(t, nil)
	p, _ := MakePlan(h, fixTarget, Selection{Only: []string{"net.core.somaxconn"}})
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"n":1000000,"role":"server","unit":"pushd.service","steps":[{"id":"net.core.somaxconn","kind":"sysctl",` +
		`"key":"net.core.somaxconn","before":"4096","value":"16384","after":"","state":"planned","reason":"","note":"","restart":true}],` +
		`"left":[],"files":[],"record":"/var/lib/holdfast/sysprep-undo.json"}`
	if string(b) != want {
		t.Errorf("the plan is\n%s, want\n%s", b, want)
	}
}

func TestRefusals(t *testing.T) {
	root := map[string]string{"proc/self/uid_map": "         0          0 4294967295\n"}
	user := map[string]string{"proc/self/uid_map": "         0       1000          1\n"}
	nobody := map[string]string{"proc/self/status": "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0\n"}
	tests := []struct {
		key   string
		files map[string]string
		err   error
		want  string
	}{
		{"net.core.somaxconn", root, syscall.EROFS, "/proc/sys is read-only here, as in a container; start it with --sysctl net.core.somaxconn=9."},
		{"fs.nr_open", root, syscall.EROFS, "/proc/sys is read-only here, as in a container; set it on the host."},
		{"net.core.no_such", root, syscall.ENOENT, "/proc/sys/net/core/no_such is not visible here, as in a container; check on the host itself."},
		{"fs.nr_open", root, syscall.EINVAL, "The kernel takes no such value: 9."},
		{"fs.nr_open", user, syscall.EPERM, "This is a user namespace, whose root may not change what belongs to the machine; set it on the host."},
		{"fs.nr_open", user, syscall.EACCES, "This is a user namespace, whose root may not change what belongs to the machine; set it on the host."},
		{"net.core.somaxconn", root, syscall.EPERM, "The kernel refuses it to this process: it lacks a capability (CAP_NET_ADMIN below net, else CAP_SYS_ADMIN), as in a container."},
		{"net.core.somaxconn", nobody, syscall.EACCES, "Only root may set it; try sudo sysprep fix."},
		{"net.core.rmem_max", root, syscall.EACCES, "It may only be read from here, as in a container or a network namespace; set it on the host."},
		{"fs.nr_open", root, syscall.EIO, "It could not be written: write f: input/output error."},
	}
	for _, tt := range tests {
		h, _ := fixHost(t, tt.files)
		if got := h.refusal(tt.key, "9", &os.PathError{Op: "write", Path: "f", Err: tt.err}); got != tt.want {
			t.Errorf("refusal(%s, %v) = %q, want %q", tt.key, tt.err, got, tt.want)
		}
	}
}
