package sysprep

import (
	"fmt"
	"path"
	"strings"
)

// RemedyKind is the way in which a finding is put right.
type RemedyKind string

// The kinds of remedies.
const (
	RemedySysctl  RemedyKind = "sysctl"  // set Key to Value
	RemedySystemd RemedyKind = "systemd" // set the directive Key of the unit's [Service] section to Value
	RemedyText    RemedyKind = "text"    // only people can: the text of the finding says what
)

// Scope is how far a kernel setting reaches.
type Scope string

// The scopes.
const (
	ScopeHost  Scope = "host"  // one value for the whole machine; a container cannot set it
	ScopeNetns Scope = "netns" // one for each network namespace; what the host sets does not reach containers
)

// SysctlFile is the file of kernel settings that the remedies write: one of their own, beside everybody else's.
const SysctlFile = "/etc/sysctl.d/90-holdfast.conf"

// inSysctlFile says what the file of kernel settings is to have.
func inSysctlFile(key string, value int64) string {
	return fmt.Sprintf("%s = %d\nin %s", key, value, SysctlFile)
}

// unitDir has a directory of drop-ins for each unit of the administrator.
const unitDir = "/etc/systemd/system/"

// DropInFile is the file of directives that the remedies write for a unit.
func DropInFile(unit string) string { return unitDir + unit + ".d/90-holdfast.conf" }

// Remedy is what a program may do about a finding. It only ever raises: what asks for a lower value is RemedyText.
type Remedy struct {
	Kind   RemedyKind
	Key    string // of the sysctl, with dots, or of the directive
	Value  string // to be set; several numbers are parted by one space, and none is below what is set now
	Before string // what the check saw, in the same form; "" when it could not be read
	Path   string // of the file below the root that shows what is set; "" of a directive
	Scope  Scope
	// Restart says that pushd has to be started again before it makes a difference.
	Restart bool
}

// hostKeys are the settings below net that have one value for the whole machine, as Linux 6.18 shows in a child
// network namespace: the files are missing there or cannot be written.
var hostKeys = map[string]bool{
	"net.core.netdev_max_backlog":        true,
	"net.core.rmem_default":              true,
	"net.core.rmem_max":                  true,
	"net.core.wmem_default":              true,
	"net.core.wmem_max":                  true,
	"net.ipv4.tcp_ehash_entries":         true,
	"net.ipv4.tcp_max_orphans":           true,
	"net.ipv4.tcp_mem":                   true,
	"net.ipv4.udp_mem":                   true,
	"net.ipv4.neigh.default.gc_thresh1":  true,
	"net.ipv4.neigh.default.gc_thresh2":  true,
	"net.ipv4.neigh.default.gc_thresh3":  true,
	"net.ipv6.neigh.default.gc_thresh1":  true,
	"net.ipv6.neigh.default.gc_thresh2":  true,
	"net.ipv6.neigh.default.gc_thresh3":  true,
	"net.netfilter.nf_conntrack_buckets": true,
	"net.netfilter.nf_conntrack_max":     true,
	"net.nf_conntrack_max":               true,
}

// ScopeOf tells how far the setting reaches. What is below net belongs to a network namespace unless hostKeys has it, and
// everything else to the machine.
func ScopeOf(key string) Scope {
	if strings.HasPrefix(key, "net.") && !hostKeys[key] {
		return ScopeNetns
	}
	return ScopeHost
}

// withSysctl adds the remedies for a kernel setting that is to have value, unless all is well.
func (f Finding) withSysctl(h *Host, key, value string) Finding {
	if f.Outcome == OK {
		return f
	}
	before, _ := h.sysctlText(key) //nolint:errcheck // "" says that it could not be read
	f.Remedy = &Remedy{Kind: RemedySysctl, Key: key, Value: value, Before: before, Path: sysctlPath(key), Scope: ScopeOf(key)}
	assignment := key + "=" + value
	if strings.Contains(value, " ") {
		assignment = fmt.Sprintf("%s='%s'", key, value)
	}
	f.FixNow = "sysctl -w " + assignment
	f.FixForGood = fmt.Sprintf("echo '%s = %s' \\\n  >> %s", key, value, SysctlFile)
	switch {
	case h.settable(key):
	case f.Remedy.Scope == ScopeHost:
		f.FixNow = "# on the host, not in here:\n" + f.FixNow
		f.FixForGood = "# on the host, not in here:\n" + f.FixForGood
	default:
		f.FixNow = "not from in here, where the settings are read-only: start\n" +
			"the container anew, such as with docker run\n  --sysctl " + assignment
		f.FixForGood = fmt.Sprintf("give the container\n  --sysctl %s,\nor the pod's securityContext.sysctls the same", assignment)
	}
	return f
}

// withText adds remedies that only people can carry out, unless all is well.
func (f Finding) withText(now, forGood string) Finding {
	if f.Outcome == OK {
		return f
	}
	f.FixNow, f.FixForGood, f.Remedy = now, forGood, &Remedy{Kind: RemedyText}
	return f
}

// withDirective adds the remedy that sets a directive of the unit, unless all is well.
func (f Finding) withDirective(unit, key, value, before string) Finding {
	if f.Outcome == OK {
		return f
	}
	f.Remedy = &Remedy{Kind: RemedySystemd, Key: key, Value: value, Before: before, Scope: ScopeHost, Restart: true}
	f.FixForGood = directiveCommands(unit, key+"="+value)
	return f
}

// directiveCommands write a drop-in for the unit and restart it. The directive is one of sysprep's own, with a number.
func directiveCommands(unit, directive string) string {
	file := DropInFile(unit)
	return fmt.Sprintf("mkdir -p %s\nprintf '[Service]\\n%s\\n' \\\n  >> %s\nsystemctl daemon-reload\nsystemctl restart %s",
		shellWord(path.Dir(file)), directive, shellWord(file), shellWord(unit))
}

// shellWord writes s so that a shell takes it for one word and nothing else.
func shellWord(s string) string {
	special := func(r rune) bool { return !strings.ContainsRune("/.,:@%+=_-", r) && !isWordRune(r) }
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func isWordRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
