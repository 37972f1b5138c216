package sysprep

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// renderPlan is a plan with everything in it, also what cannot be set from here.
var renderPlan = Plan{N: 1_000_000, Role: RoleServer, Unit: "pushd@1.service", Steps: []Step{
	{Kind: RemedySysctl, Key: "net.ipv4.tcp_rmem", Value: "4096 131072 6291456", State: StepPlanned},
	{Kind: RemedySysctl, Key: "fs.nr_open", Value: "1104096", State: StepBlocked},
	{Kind: RemedySystemd, Key: "LimitNOFILE", Value: "1021024:infinity", State: StepPlanned},
	{Kind: RemedySystemd, Key: "TimeoutStopSec", Value: "70s", State: StepBlocked},
}}

func TestRenderedSysctlReadsBack(t *testing.T) {
	text := renderPlan.Sysctl()
	settings, bad := parseSettings("f", text)
	if bad != nil || len(settings) != 2 || settings[0].Value != "4096 131072 6291456" || settings[1].Key != "fs.nr_open" {
		t.Errorf("%s\nreads back as %+v, %v", text, settings, bad)
	}
	if _, err := exec.LookPath("sysctl"); err != nil {
		t.Skip("no sysctl to try it with")
	}
	file := filepath.Join(t.TempDir(), "f.conf")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sysctl", "--dry-run", "-p", file).CombinedOutput() // sets nothing
	if strings.Contains(string(out), "dry-run") {
		t.Skip("this sysctl cannot just try")
	}
	if err != nil || !strings.Contains(string(out), "net.ipv4.tcp_rmem = 4096 131072 6291456") {
		t.Errorf("sysctl --dry-run: %v\n%s", err, out)
	}
}

func TestRenderedDropInIsValid(t *testing.T) {
	text := string(renderPlan.DropIn())
	want := "# What sysprep found too low for 1000000 connections, role server.\n[Service]\nLimitNOFILE=1021024:infinity\nTimeoutStopSec=70s\n"
	if text != want {
		t.Errorf("the drop-in is\n%s, want\n%s", text, want)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze to try it with")
	}
	verify := func(text string) string {
		dir := t.TempDir()
		unit := filepath.Join(dir, "x.service")
		if err := os.Mkdir(unit+".d", 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{unit: "[Service]\nExecStart=/bin/true\n", unit + ".d/90-holdfast.conf": text} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
		if err != nil {
			t.Fatalf("systemd-analyze verify: %v\n%s", err, out)
		}
		return string(out)
	}
	if out := verify(text); out != "" {
		t.Errorf("systemd-analyze verify says\n%s", out)
	}
	if out := verify(strings.Replace(text, "LimitNOFILE", "LimitNOFILES", 1)); !strings.Contains(out, "LimitNOFILES") {
		t.Errorf("systemd-analyze verify does not see a mistake, it says %q", out)
	}
}

func TestRenderedPlaybookIsValid(t *testing.T) {
	plans := map[string]Plan{"all": renderPlan, "none": {N: 1, Role: RoleServer},
		"settings": {N: 1, Steps: renderPlan.Steps[:2]}, "directives": {N: 1, Unit: DefaultUnit, Steps: renderPlan.Steps[2:]}}
	for name, p := range plans {
		text := string(p.Ansible())
		for line := range strings.Lines(text) {
			if len(line) > 100 || strings.Contains(line, "\t") || strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
				t.Errorf("%s: a line that is too long, has a tab, or ends in a space: %q", name, line)
			}
		}
		if strings.Count(text, "notify: ") != strings.Count(text[strings.Index(text, "  handlers:")+1:], "- name: ") && name != "none" {
			t.Errorf("%s: not one handler for each notify:\n%s", name, text)
		}
		if _, err := exec.LookPath("ansible-playbook"); err != nil {
			t.Logf("no ansible-playbook to try it with")
			continue
		}
		file := filepath.Join(t.TempDir(), "playbook.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("ansible-playbook", "--syntax-check", "-i", "localhost,", file)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: ansible-playbook --syntax-check: %v\n%s", name, err, out)
		}
	}
}

// What an administrator has put into our files stays.
func TestMergeKeepsOtherLines(t *testing.T) {
	const section = "[Service]\n"
	limit := entry{"LimitNOFILE", "5000"}
	stop := entry{"TimeoutStopSec", "70s"}
	for old, tt := range map[string]struct {
		add  entry
		want string
	}{
		"": {limit, fileHead + section + "LimitNOFILE=5000\n"},
		section + "Environment=A=1\nEnvironment=B=2\nLimitNOFILE=1000\n": {limit, section + "Environment=A=1\nEnvironment=B=2\nLimitNOFILE=5000\n"},
		section + "LimitNOFILE=9000\n; mine\nLimitNOFILE = 1000":         {limit, section + "LimitNOFILE=9000\n; mine\nLimitNOFILE = 5000\n"},
		section + "LimitNOFILE=9000\n":                                   {limit, section + "LimitNOFILE=9000\n"},
		section + "LimitNOFILE=1000:9000\n":                              {limit, section + "LimitNOFILE=5000:9000\n"},
		section + "LimitNOFILE=\n":                                       {limit, section + "LimitNOFILE=5000\n"},
		section + "Environment=A \\\n# why\n LimitNOFILE=1\nUser=x":      {limit, section + "Environment=A \\\n# why\n LimitNOFILE=1\nUser=x\nLimitNOFILE=5000\n"},
		"# mine\n":                              {limit, "# mine\n" + section + "LimitNOFILE=5000\n"},
		section + "TimeoutStopSec=300\n":        {stop, section + "TimeoutStopSec=300\n"},
		section + "TimeoutStopSec=5 minutes\n":  {stop, section + "TimeoutStopSec=5 minutes\n"},
		section + "TimeoutStopSec=1min30s\n":    {stop, section + "TimeoutStopSec=1min30s\n"},
		section + "TimeoutStopSec=0\n":          {stop, section + "TimeoutStopSec=0\n"},
		section + "TimeoutStopSec=infinity\n":   {stop, section + "TimeoutStopSec=infinity\n"},
		section + "TimeoutStopSec=30\nUser=x\n": {stop, section + "TimeoutStopSec=70s\nUser=x\n"},
		section + "TimeoutStopSec=1min\n":       {stop, section + "TimeoutStopSec=70s\n"},
	} {
		if got, err := mergeDropIn("f", []byte(old), []entry{tt.add}); string(got) != tt.want || err != nil {
			t.Errorf("%q with %v becomes %q, %v, want %q", old, tt.add, got, err, tt.want)
		}
	}
	for old, want := range map[string]string{
		section + "TimeoutStopSec=soon\n": `f:2: "soon" cannot be compared with 70s`,
		section + "User=x \\\n":           "f:2: the last line goes on",
		"User=x\n" + section:              `f:1: "User=x" is no directive of [Service]`,
	} {
		if got, err := mergeDropIn("f", []byte(old), []entry{stop}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q becomes %q, %v, want %q", old, got, err, want)
		}
	}

	const mine = "# mine\n-net.ipv4.conf.lo.rp_filter\nnet.ipv4.conf.*.rp_filter = 2\n"
	for old, want := range map[string]string{
		mine + "-net/core/somaxconn=10\n":                         mine + "-net/core/somaxconn=5000\n",
		mine + "net.core.somaxconn = 10":                          mine + "net.core.somaxconn = 5000\n",
		mine + "net.core.somaxconn = 9000":                        mine + "net.core.somaxconn = 9000\n",
		mine + "-net.core.somaxconn\nnet.core.* = 7\n":            mine + "-net.core.somaxconn\nnet.core.* = 7\nnet.core.somaxconn = 5000\n",
		"net.core.somaxconn = 9000\nnet.core.somaxconn = 10\n# x": "net.core.somaxconn = 9000\nnet.core.somaxconn = 5000\n# x\n",
	} {
		if got, err := mergeSysctl([]byte(old), []entry{{"net.core.somaxconn", "5000"}}); string(got) != want || err != nil {
			t.Errorf("%q becomes %q, %v, want %q", old, got, err, want)
		}
	}
	if got, err := mergeSysctl([]byte("net.core.somaxconn = many\n"), []entry{{"net.core.somaxconn", "5000"}}); err == nil {
		t.Errorf("a line that is no number becomes %q, want an error", got)
	}
}
