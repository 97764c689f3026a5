#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# heat-ha in devstack. In local.conf, after the line that enables heat:
#
#   enable_plugin heat-ha <address of the repository>
#
# devstack runs this file once for each phase, after Heat's own plugin, with its functions
# (setup_develop, iniset, ...) at hand. heat-ha is loaded by Heat's engines and has no process.

# Save trace setting
_XTRACE_HEAT_HA=$(set +o | grep xtrace)
set +o xtrace

function install_heat_ha {
    setup_develop "$HEAT_HA_DIR"
}

# Heat's plugin writes heat.conf in the same phase and starts the engines in the next.
function configure_heat_ha {
    local line
    line=$("$(get_python_exec_prefix)/heat-ha-plugin-dirs" --config-file "$HEAT_HA_CONF")
    iniset "$HEAT_HA_CONF" DEFAULT plugin_dirs "${line#plugin_dirs = }"
    if [[ "$HEAT_HA_POLICY_RULES" == "True" ]]; then
        mkdir -p "$(dirname "$HEAT_HA_POLICY_FILE")"
        sed 's/^#"/"/' "$HEAT_HA_DIR/etc/heat_ha/resource_types.policy.yaml.sample" \
            > "$HEAT_HA_POLICY_FILE"
    fi
}

# The engines run by now; what they loaded is checked, since they start without what is broken.
function start_heat_ha {
    "$(get_python_exec_prefix)/heat-ha-plugin-dirs" --check --config-file "$HEAT_HA_CONF"
}

# Heat's plugin stops the engines.
function stop_heat_ha {
    :
}

# Heat's plugin removes /etc/heat, which may be gone already.
function cleanup_heat_ha {
    rm -f "$HEAT_HA_POLICY_FILE"
    if [[ -f "$HEAT_HA_CONF" ]]; then
        inidelete "$HEAT_HA_CONF" DEFAULT plugin_dirs
    fi
}

if is_service_enabled heat-ha && is_service_enabled h-eng; then
    case "$1 ${2:-}" in
        "stack install")
            echo_summary "Installing heat-ha"
            install_heat_ha
            ;;
        "stack post-config")
            echo_summary "Configuring heat-ha"
            configure_heat_ha
            ;;
        "stack extra")
            echo_summary "Checking that Heat loads heat-ha"
            start_heat_ha
            ;;
        "unstack "*)
            stop_heat_ha
            ;;
        "clean "*)
            cleanup_heat_ha
            ;;
    esac
fi

# Restore xtrace
$_XTRACE_HEAT_HA
