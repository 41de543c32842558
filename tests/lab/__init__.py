# SPDX-License-Identifier: Apache-2.0
"""A node, pods and traffic in private network namespaces, for the demo, the tests and the benchmarks.

Root is needed. The machine's own network, buses and CNI state are not touched.
"""
