// Package rule judges by an enrollment's expression which hubs may take a device. Rules
// are written in the Common Expression Language (https://cel.dev), which ends always and
// reaches nothing but what it is given.
package rule
