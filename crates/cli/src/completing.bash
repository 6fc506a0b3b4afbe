# Completions of certadm for bash. They ask the command itself, which knows the jobs, CAs, vaults and points of this machine.
_certadm() {
    local IFS=$'\n' rest=$COMP_LINE words=() word before i index=0
    # bash splits words at colons, and certadm does not: what has no blank between is one word.
    for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        before=${rest%%"$word"*}
        if [[ $i -gt 0 && -n $word && -z $before && ${#words[@]} -gt 0 ]]; then
            words[${#words[@]}-1]+=$word
        elif [[ $i -gt 0 && -z $word && -z $rest && ${words[${#words[@]}-1]} == *: ]]; then
            : # the cursor stands behind a colon
        else
            words+=("$word")
        fi
        rest=${rest#"$before$word"}
        if [[ $i -le $COMP_CWORD ]]; then index=$((${#words[@]} - 1)); fi
    done
    # Blanks in words stand behind a backslash, or within quotation marks.
    local current=${words[index]}
    words[index]=$(printf '%s' "$current" | sed "s/\\\\\\(.\\)/\\1/g; s/^[\"']//")
    mapfile -t COMPREPLY < <(
        CERTADM_COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$index certadm -- "${words[@]}" 2> /dev/null
    )
    # What stands before the last colon, or the last equals sign, is not replaced by bash: it breaks words there.
    local kept= breaks=
    if [[ $COMP_WORDBREAKS == *:* ]]; then breaks+=:; fi
    if [[ $COMP_WORDBREAKS == *=* ]]; then breaks+==; fi
    if [[ -n $breaks && $current != [\"\']* ]]; then kept=${words[index]%"${words[index]##*[$breaks]}"}; fi
    for i in "${!COMPREPLY[@]}"; do
        word=${COMPREPLY[i]#"$kept"}
        if [[ $current != [\"\']* ]]; then printf -v word '%q' "$word"; fi
        COMPREPLY[i]=$word
    done
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:=] ]]; then compopt -o nospace 2> /dev/null; fi
}
complete -o bashdefault -o default -F _certadm certadm
