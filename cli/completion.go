package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completeWord is the first argument by which a shell asks for the words that may stand
// next: those so far follow, the last of them unfinished.
const completeWord = "__complete"

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by dps completion --help.
func (completionCmd) Help() string {
	return `Examples:

    source <(dps completion bash)            # in ~/.bashrc
    source <(dps completion zsh)             # in ~/.zshrc, after compinit
    dps completion fish > ~/.config/fish/completions/dps.fish`
}

// Run prints the script that a shell is to read.
func (c completionCmd) Run(env *Env) error {
	_, err := io.WriteString(env.Stdout, completionScript(c.Shell))
	return err
}

func completionScript(shell string) string {
	switch shell {
	case "zsh":
		return `_dps() {
  local -a found
  found=(${(f)"$(dps ` + completeWord + ` "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then compadd -a found; else _files; fi
}
compdef _dps dps
`
	case "fish":
		return `complete -c dps -a '(dps ` + completeWord + ` (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`
	}
	return `_dps() {
  local IFS=$'\n'
  COMPREPLY=($(dps ` + completeWord + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _dps dps
`
}

// complete prints what may stand for the last word, a line each.
func complete(model *kong.Application, words []string, out io.Writer) {
	if len(words) == 0 {
		words = []string{""}
	}
	begun, prefix := words[:len(words)-1], words[len(words)-1]
	at, open := walk(model.Node, begun)
	for _, candidate := range candidates(at, open, prefix) {
		if strings.HasPrefix(candidate, prefix) {
			say(out, "%s", candidate)
		}
	}
}

// walk follows the words to the command that they name; open is the flag whose value
// comes next, nil for none.
func walk(at *kong.Node, words []string) (node *kong.Node, open *kong.Flag) {
	for _, word := range words {
		switch {
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "-"):
			open = flagOf(at, word)
		default:
			if child := childOf(at, word); child != nil {
				at = child
			}
		}
	}
	return at, open
}

// flagOf returns the flag of a word if its value is the word after.
func flagOf(at *kong.Node, word string) *kong.Flag {
	for _, group := range at.AllFlags(false) {
		for _, f := range group {
			long, short := "--"+f.Name == word, f.Short != 0 && "-"+string(f.Short) == word
			if (long || short) && !f.IsBool() {
				return f
			}
		}
	}
	return nil
}

func childOf(at *kong.Node, name string) *kong.Node {
	for _, child := range at.Children {
		if child.Name == name || slices.Contains(child.Aliases, name) {
			return child
		}
	}
	return nil
}

func candidates(at *kong.Node, open *kong.Flag, prefix string) []string {
	var found []string
	switch {
	case open != nil:
		return enumOf(open.Value)
	case strings.HasPrefix(prefix, "-"):
		for _, group := range at.AllFlags(true) {
			for _, f := range group {
				found = append(found, "--"+f.Name)
			}
		}
	default:
		for _, child := range at.Children {
			if !child.Hidden {
				found = append(found, child.Name)
			}
		}
		for _, argument := range at.Positional {
			found = append(found, enumOf(argument)...)
		}
	}
	slices.Sort(found)
	return found
}

// enumOf returns the values that may be given; nil: any, such as a file name.
func enumOf(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}
