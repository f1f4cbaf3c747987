"""People who can log in."""

from crm.models import Role, User

PASSWORD = "keyuan2026"


def hire(username, full_name, role, department=None):
    user = User.objects.create_user(username, password=PASSWORD, full_name=full_name, is_staff=True)
    user.department = department
    user.save()
    user.groups.add(Role.objects.get(name=role))
    return user
