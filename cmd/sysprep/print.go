package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/nearest"
	"holdfast/pkg/sysprep"
)

const printDescription = `Writes what sysprep fix would write, for others to deploy: a file for
/etc/sysctl.d, a drop-in for the systemd unit, or an Ansible playbook that does
both. It holds what is too low on this host, also where it could not be set from
here. It changes nothing.

Exit status: 0 written, even if nothing has to be raised; 2 wrong usage; 3 nothing
could be checked.`

// printForms writes a plan in each of the forms.
var printForms = map[string]func(sysprep.Plan) []byte{
	"sysctl":  sysprep.Plan.Sysctl,
	"systemd": sysprep.Plan.DropIn,
	"ansible": sysprep.Plan.Ansible,
}

func printCommand() *cli.Command {
	var o fixOptions
	return &cli.Command{
		Name:        "print",
		Usage:       "write what fix would write, for others to deploy",
		UsageText:   "sysprep print sysctl|systemd|ansible -n N [--only IDS] [options]",
		Description: printDescription,
		Flags: append(targetFlags(&o.targetOptions),
			&cli.StringSliceFlag{Name: "only", Destination: &o.only, Usage: "only what these checks ask for; `IDS` parted by commas"}),
		Action: func(c *cli.Context) error {
			form, err := oneOf(c, "what to print", []string{"sysctl", "systemd", "ansible"})
			if err != nil {
				return err
			}
			_, p, err := o.plan(c)
			if err != nil {
				return err
			}
			_, err = c.App.Writer.Write(printForms[form](p))
			return err
		},
	}
}

// oneOf takes the one argument of the command, which must be one of names.
func oneOf(c *cli.Context, what string, names []string) (string, error) {
	list := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
	arg := c.Args().First()
	switch {
	case c.NArg() == 0:
		return "", app.Usagef("say %s: %s", what, list)
	case c.NArg() > 1:
		return "", app.Usagef("unexpected argument %q", c.Args().Get(1))
	case slices.Contains(names, arg):
		return arg, nil
	}
	hint := ""
	if s := nearest.Name(arg, names); s != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", s)
	}
	return "", app.Usagef("%q is not %s%s", arg, list, hint)
}
