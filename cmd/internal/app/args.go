package app

import (
	"fmt"
	"holdfast/pkg/nearest"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// parsed is a command line in the order that urfave/cli understands: options first.
type parsed struct {
	args    []string        // without the program's name
	given   map[string]bool // every name of each option that was given
	command *cli.Command    // the subcommand, nil for the application itself
	help    bool            // asked for; reading stopped there
	version bool
	literal bool // "--" stood before the first argument
}

// level is the options and arguments of the application or of one subcommand.
type level struct {
	name    string
	flags   []cli.Flag
	options []string
	args    []string
}

// parser reads one command line.
type parser struct {
	parsed
	app    *cli.App
	levels []*level // the application, then the subcommands named so far
	shared bool
}

// parse puts the options of args in front of the arguments, level by level, by what the flags of a and its commands say
// about taking a value. It refuses unknown options and missing values, so that urfave/cli only has to read values.
func parse(a *cli.App, args []string) (parsed, error) {
	shared, _ := a.Metadata[sharedKey].(bool)
	p := &parser{app: a, shared: shared, levels: []*level{{name: a.Name, flags: a.Flags}}}
	p.given = make(map[string]bool)
	if is, err := p.helpCommand(a, args); is {
		return p.parsed, err
	}
	commands := a.Commands
	for len(args) > 0 && !p.help && !p.version {
		arg := args[0]
		args = args[1:]
		top := p.levels[len(p.levels)-1]
		switch {
		case arg == "--":
			p.literal = len(top.args) == 0 && p.command == nil
			top.args = append(top.args, args...)
			args = nil
		case p.isOption(arg):
			rest, err := p.option(arg, args)
			if err != nil {
				return parsed{}, err
			}
			args = rest
		case len(top.args) == 0 && find(commands, arg) != nil:
			p.command = find(commands, arg)
			commands = p.command.Subcommands
			p.levels = append(p.levels, &level{name: top.name + " " + p.command.Name, flags: p.command.Flags})
		default:
			top.args = append(top.args, arg)
		}
	}
	if err := p.checkLevels(); err != nil {
		return parsed{}, err
	}
	p.args = p.ordered()
	return p.parsed, nil
}

// checkLevels refuses options of the application in front of a subcommand that does not share them.
func (p *parser) checkLevels() error {
	top := p.levels[len(p.levels)-1]
	if p.shared || p.help || p.version {
		return nil
	}
	for _, l := range p.levels[:len(p.levels)-1] {
		if len(l.options) > 0 {
			name, _, _ := strings.Cut(l.options[0], "=")
			return Usagef("%s is not an option of %s", dashed(strings.TrimLeft(name, "-")), top.name)
		}
	}
	return nil
}

func (p *parser) ordered() []string {
	var out []string
	for i, l := range p.levels {
		if i > 0 {
			out = append(out, l.name[strings.LastIndexByte(l.name, ' ')+1:])
		}
		out = append(out, l.options...)
		if len(l.args) > 0 {
			out = append(append(out, "--"), l.args...)
		}
	}
	return out
}

// isOption reports whether arg has the form of an option. A bare "-" and negative numbers are arguments, unless there
// is an option of that name.
func (p *parser) isOption(arg string) bool {
	if len(arg) < 2 || arg[0] != '-' {
		return false
	}
	if c := arg[1]; c == '.' || '0' <= c && c <= '9' {
		_, f := p.lookup(arg[1:])
		return f != nil
	}
	return true
}

// option takes one option and, from rest, its value; it returns what is left of rest.
func (p *parser) option(arg string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	l, f := p.lookup(name)
	if f == nil && arg[1] != '-' {
		if l, f = p.lookup(arg[1:2]); f != nil {
			return p.cluster(arg, rest)
		}
	}
	if f == nil {
		return nil, p.unknown(arg, name)
	}
	if takesValue(f) && !hasValue {
		if len(rest) == 0 {
			return nil, Usagef("option %s needs a value", dashed(name))
		}
		value, hasValue, rest = rest[0], true, rest[1:]
	}
	p.take(l, f, value, hasValue)
	return rest, nil
}

// cluster takes one-letter options written together: -ql, or -n5 where the first takes a value.
func (p *parser) cluster(arg string, rest []string) ([]string, error) {
	for i := 1; i < len(arg); i++ {
		l, f := p.lookup(arg[i : i+1])
		if f == nil {
			return nil, p.unknown(arg, arg[1:])
		}
		if !takesValue(f) {
			p.take(l, f, "", false)
			continue
		}
		if value := arg[i+1:]; value != "" {
			p.take(l, f, strings.TrimPrefix(value, "="), true)
			return rest, nil
		}
		if len(rest) == 0 {
			return nil, Usagef("option -%c needs a value", arg[i])
		}
		p.take(l, f, rest[0], true)
		return rest[1:], nil
	}
	return rest, nil
}

// take notes one option under its first name, because urfave/cli refuses two names of one option together.
func (p *parser) take(l *level, f cli.Flag, value string, hasValue bool) {
	names := f.Names()
	for _, n := range names {
		p.given[n] = true
	}
	p.help = p.help || names[0] == "help"
	p.version = p.version || names[0] == "version"
	o := "--" + names[0]
	if hasValue {
		o += "=" + value
	}
	l.options = append(l.options, o)
}

// lookup finds the option called name among those of the current subcommand, and among those of the levels above it as
// far as they are shared. The options for help and version are always shared.
func (p *parser) lookup(name string) (*level, cli.Flag) {
	for i := len(p.levels) - 1; i >= 0; i-- {
		for _, f := range p.levels[i].flags {
			names := f.Names()
			above := i < len(p.levels)-1 && !p.shared && names[0] != "help" && names[0] != "version"
			if !above && slices.Contains(names, name) {
				return p.levels[i], f
			}
		}
	}
	return nil, nil
}

func (p *parser) unknown(arg, name string) error {
	if first := p.levels[0].args; len(first) > 0 && hasHelpCommands(p.app) {
		// the option may belong to the command that was meant
		return UnknownCommand(p.app, first[0])
	}
	names := []string{"help", "version"}
	for i := len(p.levels) - 1; i >= 0; i-- {
		for _, f := range p.levels[i].flags {
			if i == len(p.levels)-1 || p.shared {
				names = append(names, f.Names()...)
			}
		}
	}
	shown, _, _ := strings.Cut(arg, "=")
	hint := ""
	if s := nearest.Name(name, names); s != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", dashed(s))
	}
	return Usagef("unknown option %s%s", shown, hint)
}

func find(cmds []*cli.Command, name string) *cli.Command {
	for _, c := range cmds {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
