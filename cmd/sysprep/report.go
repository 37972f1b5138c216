package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

// Layout of the report.
const (
	width       = 80
	bodyColumn  = 10 // where a check's id and the text below it begin
	labelColumn = 20 // where the remedies begin, after their labels
)

var groupTitles = map[string]string{
	sysprep.GroupMemory:   "Memory",
	sysprep.GroupFiles:    "Open files",
	sysprep.GroupEpoll:    "Epoll",
	sysprep.GroupAccept:   "New connections",
	sysprep.GroupBuffers:  "Buffers",
	sysprep.GroupLife:     "Lifetimes",
	sysprep.GroupPorts:    "Ports",
	sysprep.GroupTables:   "Tables of the kernel",
	sysprep.GroupService:  "Service",
	sysprep.GroupEvidence: "Evidence since boot",
}

var badges = map[sysprep.Outcome]struct {
	text  string
	color *color.Color
}{
	sysprep.OK:   {"[ ok ]", color.New(color.FgGreen)},
	sysprep.Warn: {"[warn]", color.New(color.FgYellow)},
	sysprep.Fail: {"[FAIL]", color.New(color.FgRed, color.Bold)},
	sysprep.Skip: {"[skip]", color.New(color.FgCyan)},
}

// report is the human form of a Report in the making.
type report struct {
	bytes.Buffer
	idWidth int // of the widest id
}

// setColours turns the colours of the badges on or off.
func setColours(on bool) {
	for _, b := range badges {
		if on {
			b.color.EnableColor()
		} else {
			b.color.DisableColor()
		}
	}
}

// writeReport writes r for a reader, in groups: a line for each check, and below those that are not ok what to do. head
// is a line about what was looked at, or "".
func writeReport(w io.Writer, r sysprep.Report, head string, colored bool) error {
	setColours(colored)
	out := &report{}
	for _, f := range r.Checks {
		out.idWidth = max(out.idWidth, len(f.ID))
	}
	kernel := "unknown kernel"
	if r.Kernel != "" {
		kernel = "Linux " + app.Printable(r.Kernel)
	}
	out.wrapped(0, fmt.Sprintf("%s connections, role %s, %s", count(r.N), r.Role, kernel))
	if head != "" {
		out.wrapped(0, app.Printable(head))
	}
	group := ""
	for _, f := range r.Checks {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(out, "\n%s\n", groupTitles[group])
		}
		out.finding(f)
	}
	out.verdict(r)
	_, err := out.WriteTo(w)
	return err
}

// finding writes a line, and below it what is worth saying.
func (out *report) finding(f sysprep.Finding) {
	values := app.Printable(value(f.Current, f.Unit))
	switch {
	case f.Outcome == sysprep.Skip:
		values = "not checked"
	case f.Outcome != sysprep.OK:
		values += " -> " + app.Printable(value(f.Wanted, f.Unit))
	case f.Wanted != f.Current && isNumbers(f.Current) && isNumbers(f.Wanted):
		values += " >= " + app.Printable(value(f.Wanted, f.Unit))
	}
	head := fmt.Sprintf("%-*s  ", out.idWidth, f.ID)
	b := badges[f.Outcome]
	lines := []string{head + values}
	if bodyColumn+len(head)+utf8.RuneCountInString(values) > width {
		lines = append([]string{f.ID}, breakValues(values)...)
	}
	fmt.Fprintf(out, "  %s  %s\n", b.color.Sprint(b.text), strings.TrimRight(lines[0], " "))
	for _, line := range lines[1:] {
		fmt.Fprintf(out, "%*s%s\n", bodyColumn, "", line)
	}
	if f.Note != "" {
		out.wrapped(bodyColumn, grouped(app.Printable(f.Note)))
	}
	if f.Outcome == sysprep.OK {
		return
	}
	out.wrapped(bodyColumn, grouped(app.Printable(f.Why)))
	if f.Formula != "" {
		out.labelled("wanted", grouped(app.Printable(f.Formula)))
	}
	out.remedy("now", f.FixNow)
	out.remedy("for good", f.FixForGood)
}

// breakValues puts what is wanted on a line of its own, where both do not fit.
func breakValues(values string) []string {
	if bodyColumn+utf8.RuneCountInString(values) <= width {
		return []string{values}
	}
	for _, arrow := range []string{" -> ", " >= "} {
		if current, wanted, ok := strings.Cut(values, arrow); ok {
			return []string{current, strings.TrimSpace(arrow) + " " + wanted}
		}
	}
	return []string{values}
}

// remedy writes lines that are meant to be pasted, so they are never broken; only a long path makes one wider than the
// report.
func (out *report) remedy(label, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(out, "%*s%-*s%s\n", bodyColumn, "", labelColumn-bodyColumn, label, app.Printable(line))
		label = ""
	}
}

// verdict writes whether the host is ready, the counts and, in the last line, the capacity.
func (out *report) verdict(r sysprep.Report) {
	skipped, some := r.Count(sysprep.Skip), len(r.Checks) < len(sysprep.Checks())
	ready, proviso := "Ready", ""
	switch {
	case r.Count(sysprep.Fail) > 0:
		ready = "Not ready"
	case !bounded(r): // nothing that was looked at says how many fit
		ready = "Not known whether ready"
	case r.Capacity != nil && *r.Capacity < r.N:
		proviso = " once the warnings are heeded"
	case some:
		proviso = " as far as these checks go"
	case skipped > 0:
		proviso = " as far as could be checked"
	}
	var counts []string
	for _, c := range []struct {
		outcome sysprep.Outcome
		word    string
	}{{sysprep.Fail, "failed"}, {sysprep.Warn, "warned"}, {sysprep.Skip, "skipped"}, {sysprep.OK, "ok"}} {
		if n := r.Count(c.outcome); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, c.word))
		}
	}
	out.WriteString("\n")
	out.assumed(r)
	out.wrapped(0, fmt.Sprintf("%s for %s connections%s: %s", ready, count(r.N), proviso, strings.Join(counts, ", ")))
	if some && r.Capacity != nil {
		out.WriteString("The capacity is by these checks alone.\n")
	} else if skipped > 0 && r.Capacity != nil {
		out.WriteString("The capacity leaves out what was skipped.\n")
	}
	if len(r.Limits) > 1 { // the last line has the first
		var next []string
		for _, l := range r.Limits[1:min(len(r.Limits), 1+nextLimits)] {
			next = append(next, fmt.Sprintf("%s at %s", l.ID, count(l.Holds)))
		}
		out.wrapped(0, "The next limits: "+strings.Join(next, ", "))
	}
	out.lastLine(r)
}

// assumed writes the figures that nobody has measured.
func (out *report) assumed(r sysprep.Report) {
	if len(r.Assumed) > 0 {
		out.wrap("Assumed: ", grouped(app.Printable(strings.Join(r.Assumed, "; "))))
	}
}

// lastLine writes how many connections the host holds as it stands.
func (out *report) lastLine(r sysprep.Report) {
	switch {
	case r.Capacity != nil:
		fmt.Fprintf(out, "Capacity: %s connections, limited first by %s\n", count(*r.Capacity), *r.FirstLimit)
	case r.Count(sysprep.Skip) > 0:
		out.WriteString("Capacity: unknown\n")
	case len(r.Checks) < len(sysprep.Checks()):
		out.WriteString("Capacity: none of these checks bounds it\n")
	default:
		fmt.Fprintf(out, "Capacity: more than %s connections\n", count(sysprep.MaxN))
	}
}

// count prints a number with its thousands parted.
func count(n int64) string { return grouped(strconv.FormatInt(n, 10)) }

// wrapped writes text from a column on, broken between words.
func (out *report) wrapped(column int, text string) {
	out.wrap(strings.Repeat(" ", column), text)
}

// labelled writes text at the column of the remedies, broken between words, after a label.
func (out *report) labelled(label, text string) {
	out.wrap(fmt.Sprintf("%*s%-*s", bodyColumn, "", labelColumn-bodyColumn, label), text)
}

// wrap writes text after lead, broken between words; further lines begin below its end.
func (out *report) wrap(lead, text string) {
	column := len(lead)
	line, used := lead, column
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if used > column && used+1+n > width {
			out.WriteString(line + "\n")
			line, used = strings.Repeat(" ", column), column
		}
		if used > column {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	out.WriteString(line + "\n")
}

// value writes a finding's value for a reader.
func value(s, unit string) string {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && unit == sysprep.UnitBytes {
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	}
	if strings.Contains(s, " ") && isNumbers(s) {
		return s // as the kernel has them, to be pasted
	}
	return grouped(s)
}

// isNumbers reports whether s is numbers, parted by spaces, or unlimited, which is more than any.
func isNumbers(s string) bool {
	return s == "unlimited" || s != "" && strings.Trim(s, "0123456789 ") == ""
}

// longNumber is a number of more than three digits that is no part of a word, a path or a fraction, with what stands
// before it and after it where that makes it a name: the number of a process or port, and lists of ports.
var longNumber = regexp.MustCompile(`(\b(?:[Pp]rocess|[Pp]orts?) |-[tp] |^|[ (*/=+])([0-9]{4,})\b([-,][0-9]+)*`)

// grouped parts the thousands of the numbers in s with commas. Numbers that are names stay as they are.
func grouped(s string) string {
	return longNumber.ReplaceAllStringFunc(s, func(m string) string {
		part := longNumber.FindStringSubmatch(m)
		lead, digits := part[1], part[2]
		if len(lead) > 1 || part[3] != "" {
			return m
		}
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
		return lead + digits
	})
}
