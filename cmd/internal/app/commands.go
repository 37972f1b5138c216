package app

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/pkg/nearest"
)

// HelpCommands gives a the commands help and version, which say what --help and --version say. It
// is for applications whose first argument is always a command.
func HelpCommands(a *cli.App) { a.Metadata[commandsKey] = true }

// Without says that the command called name does not take these of the shared options, so that its
// help leaves them out. The command itself refuses them.
func Without(a *cli.App, name string, options ...string) {
	without, _ := a.Metadata[withoutKey].(map[string][]string)
	if without == nil {
		without = make(map[string][]string)
		a.Metadata[withoutKey] = without
	}
	without[name] = append(without[name], options...)
}

// helpFlags are the options that the help of c lists behind its own.
func helpFlags(a *cli.App, c *cli.Command) []cli.Flag {
	if shared, _ := a.Metadata[sharedKey].(bool); !shared {
		return builtins()
	}
	without, _ := a.Metadata[withoutKey].(map[string][]string)
	return slices.DeleteFunc(slices.Clone(a.Flags), func(f cli.Flag) bool {
		return slices.ContainsFunc(f.Names(), func(n string) bool { return slices.Contains(without[c.Name], n) })
	})
}

func hasHelpCommands(a *cli.App) bool {
	has, _ := a.Metadata[commandsKey].(bool)
	return has
}

// CommandNames lists the names of the commands of a.
func CommandNames(a *cli.App) []string {
	var names []string
	for _, c := range a.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

// UnknownCommand is the error for a command that a does not have.
func UnknownCommand(a *cli.App, name string) error {
	names := append(CommandNames(a), "help", "version")
	if s := nearest.Name(name, names); s != "" {
		return Usagef("unknown command %q (did you mean %s?)", name, s)
	}
	return Usagef("unknown command %q; there are: %s", name, strings.Join(CommandNames(a), ", "))
}

// helpCommand takes `help`, `help COMMAND` or `version` and reports whether args are one of them.
func (p *parser) helpCommand(a *cli.App, args []string) (bool, error) {
	if !hasHelpCommands(a) || len(args) == 0 {
		return false, nil
	}
	switch args[0] {
	case "version":
		p.version = true
	case "help":
		p.help = true
	default:
		return false, nil
	}
	for _, arg := range args[1:] {
		switch c := find(a.Commands, arg); {
		case p.isOption(arg): // such as --help
		case p.version || p.command != nil:
			return true, Usagef("unexpected argument %q", arg)
		case c == nil && arg != "help" && arg != "version":
			return true, UnknownCommand(a, arg)
		default:
			p.command = c
		}
	}
	return true, nil
}
