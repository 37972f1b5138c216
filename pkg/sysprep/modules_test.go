package sysprep

import (
	"strings"
	"syscall"
	"testing"
)

// conntrackHost tracks connections, in a table that is too small.
var conntrackHost = map[string]string{
	"proc/sys/net/netfilter/nf_conntrack_max":     "65536\n",
	"proc/sys/net/netfilter/nf_conntrack_count":   "10\n",
	"proc/sys/net/netfilter/nf_conntrack_buckets": "16384\n",
}

var conntrackOnly = Selection{Only: []string{"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"}}

// The settings of a module are made at boot before a firewall rule loads it, so boot has to load
// it.
func TestModuleOfSettingsIsLoadedAtBoot(t *testing.T) {
	h, c := fixHost(t, conntrackHost)
	before := tree(t, c)
	p, _ := MakePlan(h, fixTarget, conntrackOnly)
	p, err := c.Apply(t.Context(), p)
	if err != nil || p.Count(StepDone) != 2 {
		t.Fatalf("Apply: %v, %+v, want both done", err, p.Steps)
	}
	if got, want := read(t, c, ModulesFile), fileHead+"nf_conntrack\n"; got != want {
		t.Errorf("the file of modules holds %q, want %q", got, want)
	}
	if got, want := strings.Join(p.Files, " "), SysctlFile+" "+ModulesFile; got != want {
		t.Errorf("files are %s, want %s", got, want)
	}
	if _, err := c.Undo(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("after undo %q differ", got)
	}
}

func TestModuleThatIsLoadedAlreadyIsNotNamed(t *testing.T) {
	for name, text := range map[string]string{
		"etc/modules": "# modules\nloop\nnf_conntrack\n", "usr/lib/modules-load.d/firewall.conf": "nf-conntrack",
	} {
		files := map[string]string{name: text}
		for k, v := range conntrackHost {
			files[k] = v
		}
		h, c := fixHost(t, files)
		p, _ := MakePlan(h, fixTarget, conntrackOnly)
		if _, err := c.Apply(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := read(t, c, ModulesFile); got != "(none)" {
			t.Errorf("with /%s: the file of modules holds %q, want none", name, got)
		}
	}
}

func TestModuleOfRefusedSettingsIsNotNamed(t *testing.T) {
	h, c := fixHost(t, conntrackHost)
	c.writeLive = func(string, string) error { return syscall.EINVAL }
	p, _ := MakePlan(h, fixTarget, conntrackOnly)
	p, err := c.Apply(t.Context(), p)
	if err != nil || len(p.Files) != 0 {
		t.Errorf("Apply: %v, files %q, want none", err, p.Files)
	}
	if got := read(t, c, ModulesFile); got != "(none)" {
		t.Errorf("the file of modules holds %q, want none", got)
	}
}

// What others deploy says so as well.
func TestPrintedSettingsNameTheirModule(t *testing.T) {
	h, _ := fixHost(t, conntrackHost)
	p, _ := MakePlan(h, fixTarget, conntrackOnly)
	if got := string(p.Sysctl()); !strings.Contains(got, "# Some are of the module nf_conntrack: name it in "+ModulesFile) {
		t.Errorf("the file of settings does not name the module:\n%s", got)
	}
	got := string(p.Ansible())
	load, set := strings.Index(got, "modprobe nf_conntrack"), strings.Index(got, "sysctl -p")
	if !strings.Contains(got, "dest: \""+ModulesFile+"\"") || load < 0 || load > set {
		t.Errorf("the playbook does not load the module before it sets its settings:\n%s", got)
	}
	p, _ = MakePlan(h, fixTarget, fixOnly)
	if got := string(p.Sysctl()) + string(p.Ansible()) + string(p.Modules()); strings.Contains(got, "module") {
		t.Errorf("settings of no module name one:\n%s", got)
	}
}
