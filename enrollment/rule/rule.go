package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/ext"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zerotouch-dps/dps"
)

const (
	// MaxLength bounds a rule, in bytes.
	MaxLength = 2048
	// costLimit bounds one judgement, in the units of CEL: about a step each, some
	// milliseconds in all. What a device sends can't make it longer.
	costLimit = 20_000
	// maxDepth bounds the nesting of a rule.
	maxDepth = 64
	// kept is how many compiled rules are kept.
	kept = 1024
)

// Rules compiles rules and keeps what it compiled. It is safe for concurrent use.
type Rules struct {
	env   func() (*cel.Env, error)
	cache *lru.Cache[string, *Rule]
}

// New returns Rules.
func New() *Rules {
	cache, err := lru.New[string, *Rule](kept)
	if err != nil {
		panic(err) // only of a size below one
	}
	return &Rules{env: sync.OnceValues(environment), cache: cache}
}

// environment declares what rules can speak of.
func environment() (*cel.Env, error) {
	return cel.NewEnv(
		ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[Device](), reflect.TypeFor[Certificate](), reflect.TypeFor[Entry](), reflect.TypeFor[Hub]()),
		ext.Strings(), ext.Lists(), ext.Sets(), ext.Network(),
		cel.Variable("device", cel.ObjectType("rule.Device")),
		cel.Variable("payload", cel.DynType),
		cel.Variable("enrollment", cel.ObjectType("rule.Entry")),
		cel.Variable("hub", cel.ObjectType("rule.Hub")),
		cel.ParserExpressionSizeLimit(MaxLength), cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(cel.ValidateRegexLiterals()),
	)
}

// Rule is a compiled rule.
type Rule struct {
	program cel.Program
	asks    bool
}

// AsksTheDevice reports whether the rule names what is known only while a device registers:
// its payload, address, transport, and what it proves itself with.
func (r *Rule) AsksTheDevice() bool { return r.asks }

func asksTheDevice(tree *ast.AST) bool {
	asks := false
	told := []string{"address", "transport", "attestation", "certificate"}
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() { //nolint:exhaustive // others name nothing
		case ast.IdentKind:
			asks = asks || e.AsIdent() == "payload"
		case ast.SelectKind:
			asks = asks || slices.Contains(told, e.AsSelect().FieldName())
		}
	}))
	return asks
}

// Compile returns the rule of a text. Errors: [dps.InvalidArgument], which says where the
// text is wrong.
func (r *Rules) Compile(text string) (*Rule, error) {
	if known, ok := r.cache.Get(text); ok {
		return known, nil
	}
	if len(text) > MaxLength {
		return nil, dps.Invalid("allocationRule", "length", fmt.Sprintf("must be at most %d bytes", MaxLength))
	}
	env, err := r.env()
	if err != nil {
		return nil, fmt.Errorf("environment of rules: %w", err)
	}
	tree, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, dps.Invalid("allocationRule", "expression", "is not a rule: "+issues.Err().Error())
	}
	if kind := tree.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, dps.Invalid("allocationRule", "type", "must come to true or false, not to "+kind.String())
	}
	program, err := env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return nil, dps.Invalid("allocationRule", "expression", "is not a rule: "+err.Error())
	}
	compiled := &Rule{program, asksTheDevice(tree.NativeRep())}
	r.cache.Add(text, compiled)
	return compiled, nil
}

// Case is a device about which hubs are judged.
type Case struct {
	rule   *Rule
	values map[string]any
}

// Of returns the case of a device and the entry that admitted it. A payload that is not
// JSON counts as none.
func (r *Rule) Of(d *Device, e *Entry) *Case {
	var payload any
	if json.Unmarshal(d.Payload, &payload) != nil || payload == nil {
		payload = map[string]any{}
	}
	return &Case{r, map[string]any{"device": d, "payload": payload, "enrollment": e}}
}

// Admits reports whether a hub may take the device. Errors tell why the rule came to
// nothing, such as a member of the payload that is not there.
func (c *Case) Admits(h *Hub) (bool, error) {
	c.values["hub"] = h
	out, _, err := c.rule.program.Eval(c.values)
	if err != nil {
		return false, err
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, errors.New("it came to something else than true or false")
	}
	return yes, nil
}
