<#
Serves a CA from the start of this machine on, by a task of the Task Scheduler: `certadm serve` does not answer to the service control
manager, so a service of Windows would be ended after half a minute. The agent, which does the jobs, needs no script:
certadm agent install.

  .\service.ps1 install NAME DIR [ADDRESS]   the task "certadm NAME" serves the CA in DIR, on 127.0.0.1:135 if nothing else is given
  .\service.ps1 remove NAME                  stops and removes it; the CA's folder stays

Run it as an administrator. The task runs as LOCAL SERVICE, which needs to change files in DIR, and is given the right to.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)][ValidateSet('install', 'remove')][string] $Action,
    [Parameter(Mandatory)][ValidatePattern('^[\w .-]+$')][string] $Name,
    [string] $Dir,
    [ValidatePattern('^[\w.:\[\]-]+$')][string] $Address = '127.0.0.1:135'
)
$ErrorActionPreference = 'Stop'
$task = "certadm $Name"

if ($Action -eq 'remove') {
    Stop-ScheduledTask -TaskName $task -ErrorAction SilentlyContinue
    Unregister-ScheduledTask -TaskName $task -Confirm:$false
    exit 0
}

if (-not $Dir -or -not (Test-Path -LiteralPath (Join-Path $Dir 'ca.toml'))) {
    throw "'$Dir' holds no CA; certadm ca init makes one"
}
$Dir = (Resolve-Path -LiteralPath $Dir).ProviderPath
icacls.exe $Dir /grant '*S-1-5-19:(OI)(CI)M' | Out-Null
if ($LASTEXITCODE -ne 0) { throw "icacls could not give LOCAL SERVICE the right to change $Dir" }

$command = Join-Path $PSScriptRoot 'certadm.exe'
$run = New-ScheduledTaskAction -Execute $command -Argument "serve --dir `"$Dir`" --listen $Address" -WorkingDirectory $PSScriptRoot
$settings = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -RestartCount 999 `
    -RestartInterval (New-TimeSpan -Minutes 1) -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
$account = New-ScheduledTaskPrincipal -UserId 'S-1-5-19' -LogonType ServiceAccount
Register-ScheduledTask -TaskName $task -Action $run -Trigger (New-ScheduledTaskTrigger -AtStartup) `
    -Settings $settings -Principal $account -Force | Out-Null
Start-ScheduledTask -TaskName $task
