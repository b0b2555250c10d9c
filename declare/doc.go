// Package declare holds a deployment to what files say. Files of YAML or JSON enter; the
// state of the ID scopes that they name is read through the operator's API; what differs
// leaves as a plan, which can be shown, and applied on the condition that nobody wrote
// in between. Applying a plan twice changes nothing. The way back is an export: a scope
// as the file that would make it.
package declare
