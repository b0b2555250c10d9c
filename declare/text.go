package declare

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxShown bounds how much of a value is shown, in characters.
const maxShown = 72

// WriteText writes a plan for a person: what changes, scope by scope, and a sum.
func (p Plan) WriteText(w io.Writer) error {
	var b strings.Builder
	scope := ""
	for _, s := range p.Changes() {
		if s.IDScope != scope {
			scope = s.IDScope
			fmt.Fprintf(&b, "ID scope %s\n", scope)
		}
		fmt.Fprintf(&b, "  %s %s %s\n", s.Action.mark(), s.Kind, s.Name)
		for _, c := range s.Changes {
			fmt.Fprintf(&b, "      %s\n", c)
		}
	}
	fmt.Fprintf(&b, "%d to create, %d to update, %d to delete, %d unchanged.\n",
		p.Count(Create), p.Count(Update), p.Count(Delete), p.Count(Unchanged))
	_, err := io.WriteString(w, b.String())
	return err
}

func (a Action) mark() string {
	switch a {
	case Create:
		return "+"
	case Delete:
		return "-"
	case Update:
		return "~"
	case Unchanged:
	}
	return " "
}

// String writes the member with what it was and what it becomes.
func (c Change) String() string {
	switch {
	case c.Secret:
		return c.Member + ": (secret)"
	case c.From == nil:
		return c.Member + ": " + shownValue(c.To)
	}
	return c.Member + ": " + shownValue(c.From) + " -> " + shownValue(c.To)
}

func shownValue(v any) string {
	text, ok := v.(string)
	if !ok {
		raw, err := json.Marshal(v)
		if err != nil {
			return "?"
		}
		text = string(raw)
	}
	if text == "" || text == "null" {
		return "(none)"
	}
	if r := []rune(text); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return text
}
