// Package management is what manufacturers and operators can do, and who may:
// enrollments and groups, registration records, scopes with their linked hubs, CA certificates and access
// policies, and the operator's token. A caller's rights are decided here, whatever the
// surface; every change and every revealed secret leaves an audit record. HTTP is in
// the packages below.
package management
