package app

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// Layout of the help text.
const (
	helpWidth  = 96
	helpColumn = 30 // where the explanation of an option begins
)

// writeHelp prints the help of the application, or of its command c when that is not nil, to a.Writer.
func writeHelp(a *cli.App, c *cli.Command) error {
	h := &help{}
	if c == nil {
		h.head(a.Name, a.Usage, a.UsageText, a.Description)
		h.commands(a.Commands)
		h.options(a.Flags)
	} else {
		h.head(a.Name+" "+c.Name, c.Usage, c.UsageText, c.Description)
		h.commands(c.Subcommands)
		flags := c.Flags
		if shared, _ := a.Metadata[sharedKey].(bool); shared {
			flags = append(flags[:len(flags):len(flags)], a.Flags...)
		} else {
			flags = append(flags[:len(flags):len(flags)], builtins()...)
		}
		h.options(flags)
	}
	_, err := a.Writer.Write([]byte(h.String()))
	return err
}

// help is a help text in the making.
type help struct{ strings.Builder }

func (h *help) head(name, usage, usageText, description string) {
	fmt.Fprintf(h, "%s - %s\n\n", name, usage)
	if usageText == "" {
		usageText = name + " [options]"
	}
	for i, line := range strings.Split(strings.TrimSpace(usageText), "\n") {
		label := "Usage:"
		if i > 0 {
			label = "      "
		}
		fmt.Fprintf(h, "%s %s\n", label, strings.TrimSpace(line))
	}
	if d := strings.TrimSpace(description); d != "" {
		fmt.Fprintf(h, "\n%s\n", d)
	}
}

func (h *help) commands(cmds []*cli.Command) {
	if len(cmds) == 0 {
		return
	}
	h.WriteString("\nCommands:\n")
	for _, c := range cmds {
		if !c.Hidden {
			h.row(c.Name, c.Usage)
		}
	}
}

// options lists the flags under their categories, in the order in which they were declared.
func (h *help) options(flags []cli.Flag) {
	var categories []string
	rows := make(map[string][]cli.DocGenerationFlag)
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if v, can := f.(cli.VisibleFlag); !ok || can && !v.IsVisible() {
			continue
		}
		category := "Options"
		if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() != "" {
			category = c.GetCategory()
		}
		if rows[category] == nil {
			categories = append(categories, category)
		}
		rows[category] = append(rows[category], d)
	}
	for _, category := range categories {
		fmt.Fprintf(h, "\n%s:\n", category)
		for _, d := range rows[category] {
			h.option(d)
		}
	}
}

func (h *help) option(d cli.DocGenerationFlag) {
	placeholder, text := unquoteUsage(d.GetUsage())
	var short, long []string
	for _, n := range d.Names() {
		if len(n) == 1 {
			short = append(short, dashed(n))
		} else {
			long = append(long, dashed(n))
		}
	}
	term := strings.Join(append(short, long...), ", ")
	if len(short) == 0 {
		term = "    " + term
	}
	if d.TakesValue() {
		term += " " + placeholder
	}
	var notes []string
	if def := defaultText(d); def != "" {
		notes = append(notes, "default "+def)
	}
	for _, e := range d.GetEnvVars() {
		notes = append(notes, "$"+e)
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	h.row(term, text)
}

// defaultText is the default as help shows it: the text that the flag declares, else its value unless that is zero.
func defaultText(d cli.DocGenerationFlag) string {
	if !d.TakesValue() {
		return ""
	}
	text := strings.Trim(d.GetDefaultText(), `"`)
	switch text {
	case "0", "0s", "[]", "false":
		return ""
	}
	return text
}

// unquoteUsage takes the name of an option's value out of the back quotes of its usage text.
func unquoteUsage(usage string) (placeholder, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "VALUE", usage
	}
	name, after, ok := strings.Cut(rest, "`")
	if !ok {
		return "VALUE", usage
	}
	return name, before + name + after
}

// row writes a term and its explanation beside it, broken at helpWidth.
func (h *help) row(term, text string) {
	line := "  " + term
	if len(line) > helpColumn-2 {
		h.WriteString(line + "\n")
		line = ""
	}
	line += strings.Repeat(" ", helpColumn-len(line))
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && len(line)+1+len(word) > helpWidth {
			h.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", helpColumn), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	h.WriteString(strings.TrimRight(line, " ") + "\n")
}
